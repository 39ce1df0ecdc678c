"""What the engine needs of PJSIP and its Python classes do not offer: functions that the wheel's library exports."""

from __future__ import annotations

import ctypes
from typing import Any, Final

import pjsua2 as pj

_VERSION: Final = "2.15"
_ENCODING: Final = 1  # PJMEDIA_DIR_ENCODING: what we send
# pjsip_cfg_t of 2.15, `endpt`: thirteen flags.
_FLAGS: Final = 13
_NO_SWITCH_TO_TCP: Final = 4
_KEEP_AFTER_TIMEOUT: Final = 12

_library = ctypes.CDLL(pj._pjsua2.__file__)
_library.pjsua_get_pjsip_endpt.restype = ctypes.c_void_p


def quiet() -> None:
    """Log nothing, from before there is an endpoint that could be told."""
    _library.pj_log_set_level(0)


def configure(endpoint: Any) -> None:
    """A re-INVITE that nobody answers does not end its call, and a long message does not go by TCP. Raises
    `RuntimeError` when the library is of another version: its configuration may be laid out otherwise."""
    version = endpoint.libVersion().full
    if not version.startswith(_VERSION):
        raise RuntimeError(f"PJSIP {version} is not the {_VERSION} that the engine knows")
    flags = (ctypes.c_int * _FLAGS).in_dll(_library, "pjsip_sip_cfg_var")
    flags[_NO_SWITCH_TO_TCP] = 1
    flags[_KEEP_AFTER_TIMEOUT] = 1


def calls() -> int:
    """How many of PJSIP's places for calls are taken, those included that are over but for the last answer."""
    return int(_library.pjsua_call_get_count())


def pause(stream: int) -> None:
    """Send no more RTP, and no RTCP either but for packets that still come in."""
    _library.pjmedia_stream_pause(ctypes.c_void_p(stream), _ENCODING)


def resume(stream: int) -> None:
    _library.pjmedia_stream_resume(ctypes.c_void_p(stream), _ENCODING)


def respond(transaction: Any, request: Any, code: int) -> None:
    """Answer a request that PJSUA leaves to us (pointers of pjsip_transaction and pjsip_rx_data)."""
    response = ctypes.c_void_p()
    endpoint = ctypes.c_void_p(_library.pjsua_get_pjsip_endpt())
    failed = _library.pjsip_endpt_create_response(
        endpoint, ctypes.c_void_p(int(request)), code, None, ctypes.byref(response)
    )
    if not failed:
        _library.pjsip_tsx_send_msg(ctypes.c_void_p(int(transaction)), response)
