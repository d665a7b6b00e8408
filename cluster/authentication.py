"""Ray's token authentication: have a token where the mode asks for one."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from cluster import host
from envs.errors import ClusterError


def ensure_token() -> None:
    """Have a token where the mode asks for one, as Ray's own ``ray.init()`` would.

    Ray's nodes listen on all interfaces; in token mode they refuse calls without the token. It is
    the user's (``~/.ray/auth_token``), so that ``ray status`` and ``ray job submit`` in another
    shell work without more ado. A token that the environment names is used as it is.
    """
    if os.environ.get("RAY_AUTH_MODE") != "token":
        return
    if os.environ.get("RAY_AUTH_TOKEN") or os.environ.get("RAY_AUTH_TOKEN_PATH"):
        return
    if (Path.home() / ".ray" / "auth_token").exists():
        return
    made = subprocess.run(
        [host.ray_command(), "get-auth-token", "--generate"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode != 0:
        raise ClusterError(
            "Ray token",
            "~/.ray/auth_token",
            "Make your home folder writable, or set RAY_AUTH_MODE=disabled on a host that nobody "
            "else can reach.",
            problem=f"cannot be generated: {made.stderr.strip()[-300:]}",
        )
