"""The text that the demo models learn from, made of our own phrases: stories, posts, questions, requests, answers.

Nothing is taken from elsewhere, and no test item that ships with llamabench is in it; `tests/tools` sees to that.
"""
