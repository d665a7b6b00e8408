from __future__ import annotations


def comparison_html(t, c):
    return ""


def comparison_markdown(t, c):
    return ""
