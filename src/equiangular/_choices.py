"""Choices that more than one package offers, as types and as what there is at run time. Without torch."""

from __future__ import annotations

from typing import Literal, get_args

Profile = Literal["exp", "step"]
Protocol = Literal["local", "cao2019"]
Memory = Literal["auto", "memory", "stream"]
PROFILES: tuple[Profile, ...] = get_args(Profile)
PROTOCOLS: tuple[Protocol, ...] = get_args(Protocol)
MEMORIES: tuple[Memory, ...] = get_args(Memory)
