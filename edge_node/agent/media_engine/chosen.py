"""The media engine that the node's configuration names."""

from __future__ import annotations

from edge_node.agent.config import Config, ConfigError, EmbeddedMedia, FreeSwitchMedia, read_credential
from edge_node.agent.log import Log
from edge_node.agent.media_engine.base import MediaEngine, Sink


def choose(config: Config, media: EmbeddedMedia | FreeSwitchMedia, sink: Sink, log: Log) -> MediaEngine:
    """Not started yet; of the engines only this one's code is loaded. Raises `ConfigError`."""
    return (
        _freeswitch(config, media, sink, log)
        if isinstance(media, FreeSwitchMedia)
        else _embedded(config, media, sink, log)
    )


def _freeswitch(config: Config, media: FreeSwitchMedia, sink: Sink, log: Log) -> MediaEngine:
    from edge_node.agent.media_engine.freeswitch.engine import FreeSwitchEngine
    from edge_node.agent.media_engine.freeswitch.settings import FreeSwitchSettings

    switch = FreeSwitchSettings(
        esl=media.esl,
        password=read_credential(media.password_file),
        socket=media.socket,
        sip=media.sip,
        kamailio=config.sip,
        callers=media.callers,
    )
    return FreeSwitchEngine(switch, sink, log)


def _embedded(config: Config, media: EmbeddedMedia, sink: Sink, log: Log) -> MediaEngine:
    from edge_node.agent.media_engine.embedded.engine import EmbeddedEngine
    from edge_node.agent.media_engine.embedded.settings import EmbeddedSettings

    try:
        pool = EmbeddedSettings(
            kamailio=config.sip,
            sip_port=media.sip_port,
            rtp_min=media.rtp_min,
            rtp_max=media.rtp_max,
            host=media.host,
            callers=media.callers,
        )
    except ValueError as error:
        raise ConfigError(f"The media engine cannot be as configured: {error}.") from error
    return EmbeddedEngine(pool, sink, log)
