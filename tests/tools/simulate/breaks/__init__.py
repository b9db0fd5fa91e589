"""Deliberate breaks: each makes one line of the code under test wrong, and some seed of the simulation must find it."""

from __future__ import annotations

from tests.tools.simulate.breaks.agent import AGENT_BREAKS
from tests.tools.simulate.breaks.server import SERVER_BREAKS

BREAKS = (*SERVER_BREAKS, *AGENT_BREAKS)
