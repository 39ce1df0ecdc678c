"""FreeSWITCH as a media engine: driven over its event socket, outbound for each channel and inbound for commands."""

from edge_node.agent.media_engine.freeswitch.engine import FreeSwitchEngine as FreeSwitchEngine
from edge_node.agent.media_engine.freeswitch.settings import FreeSwitchSettings as FreeSwitchSettings
