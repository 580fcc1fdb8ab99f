"""Scorers: pure arithmetic from texts to numbers, offline, each with its agreement with people in docs/scorers.md."""
