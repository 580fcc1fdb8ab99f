"""What a file is that was taken for a model, by its first bytes."""

from __future__ import annotations

_MAGICS = (
    (b"PK\x03\x04", "it is a zip archive, as PyTorch writes its checkpoints (.bin, .pt)"),
    (b"\x80\x02", "it is a Python pickle, as PyTorch writes its checkpoints (.bin, .pt)"),
    (b"\x80\x03", "it is a Python pickle"),
    (b"\x80\x04", "it is a Python pickle"),
    (b"\x80\x05", "it is a Python pickle"),
    (b"version https://git-lfs", "it is a git-lfs pointer, a note of where the model is; `git lfs pull` fetches it"),
    (b"lmgg", "it is a GGML file of 2023, the format before GGUF"),
    (b"fmgg", "it is a GGML file of 2023, the format before GGUF"),
    (b"tjgg", "it is a GGML file of 2023, the format before GGUF"),
    (b"FUGG", "its first bytes are reversed"),
    (b"\x1f\x8b", "it is compressed with gzip; unpack it first"),
    (b"\x28\xb5\x2f\xfd", "it is compressed with zstd; unpack it first"),
    (b"7z\xbc\xaf", "it is a 7-Zip archive; unpack it first"),
    (b"\x89HDF", "it is an HDF5 file"),
)
_N_SHOWN = 12


def describe_foreign(head: bytes) -> str:
    """What the first bytes of a file that is no GGUF say it is, as the rest of a sentence."""
    for magic, description in _MAGICS:
        if head.startswith(magic):
            return description
    if head[8:10] == b'{"' and len(head) > 10:
        return "it is a safetensors file"
    text = head.lstrip().lower()
    if text.startswith((b"<!doctype", b"<html")):
        return "it is a web page, so the download was an error or log-in page"
    if text.startswith(b"{"):
        return "it is JSON text"
    if not head.strip(b"\0"):
        return "it begins with zeros, so the download reserved its space but did not finish"
    begin = head[:_N_SHOWN]
    if begin.isascii() and begin.decode("ascii").isprintable():
        return f'it begins with the text "{begin.decode("ascii")}"'
    return f"it begins with the bytes {begin[:4].hex(' ')}"
