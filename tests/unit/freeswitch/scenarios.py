"""What was tried at a real switch; `transcripts.json` is what it said."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable
from typing import Final

from tests.unit.freeswitch.script import Line, Script

Act = Callable[[], Awaitable[None]]


async def login(script: Script) -> None:
    line = await script.inbound(login=False)
    await line.say("api status")
    await line.say("auth wrong")
    await line.closes()


async def commands(script: Script) -> None:
    line = await script.inbound()
    await line.say("nonsense")
    await line.say("api nonsense")
    await line.say("event plain NONSENSE")
    await line.say("sendmsg 00000000-0000-0000-0000-000000000000", call_command="execute")
    await line.say("api uuid_kill 00000000-0000-0000-0000-000000000000")
    await line.say("api uuid_exists 00000000-0000-0000-0000-000000000000")
    await line.say("api uuid_media 00000000-0000-0000-0000-000000000000")
    await line.say("bgapi uuid_exists 00000000-0000-0000-0000-000000000000", Job_UUID="mine")
    await line.sees("BACKGROUND_JOB")
    await line.say("exit_x")
    await line.closes()


async def one_after_the_other(script: Script) -> None:
    """With the lock; the caller hangs up during the third."""
    hang_up = await script.world.call("x")
    line = await script.arrival("a")
    await line.execute("answer", number="1")
    await line.sees("Application-UUID=1 Application-Response")
    long, short = script.world.sound(0.4), script.world.sound(0.1)
    await line.execute("playback", long, number="2")
    await line.execute("playback", short, number="3")
    await line.execute("playback", "tone_stream://%(1000,0,500);loops=-1", number="4")
    await line.sees("CHANNEL_EXECUTE Application=playback Application-UUID=4")
    await hang_up()
    await line.closes()


async def one_inside_the_other(script: Script) -> None:
    """Without the lock."""
    hang_up = await _answered(script)
    line = await script.arrival("a")
    await line.execute("answer", number="1")
    await line.sees("Application-UUID=1 Application-Response")
    await line.execute("playback", script.world.sound(0.6), lock=False, number="2")
    await line.sees("CHANNEL_EXECUTE Application=playback Application-UUID=2")
    await line.execute("playback", script.world.sound(0.2), lock=False, number="3")
    await line.sees("Application-UUID=2 Application-Response")
    await hang_up()
    await line.closes()


async def what_goes_wrong(script: Script) -> None:
    hang_up = await _answered(script)
    line = await script.arrival("a")
    await line.execute("answer", number="1")
    await line.sees("Application-UUID=1 Application-Response")
    await line.execute("playback", "/nowhere/missing.wav", number="2")
    await line.sees("Application-UUID=2 Application-Response")
    await line.say(f"sendmsg {line.channel}")
    await line.say(f"sendmsg {line.channel}", call_command="bogus")
    await line.execute("no_such_application", number="3")
    await line.closes()
    await hang_up()


async def a_break(script: Script) -> None:
    hang_up = await _answered(script)
    line = await script.arrival("a")
    await line.execute("answer", number="1")
    await line.sees("Application-UUID=1 Application-Response")
    await line.execute("playback", "tone_stream://%(1000,0,500);loops=-1", number="2")
    await line.sees("CHANNEL_EXECUTE Application=playback")
    await line.say(f"api uuid_break {line.channel}")
    await line.sees("Application-UUID=2 Application-Response")
    await hang_up()
    await line.closes()


async def variables(script: Script) -> None:
    """A percent sign that was sent is not told from the switch's own."""
    hang_up = await script.world.call("a%20b c;d")
    line = await script.arrival("a")
    await line.say(f"api uuid_getvar {line.channel} sip_h_X-Tandem-Odd")
    await line.say(f"api uuid_getvar {line.channel} nothing")
    await line.say(f"api uuid_setvar_multi {line.channel} one=1;two=a\\;b;one=")
    await line.say(f"api uuid_getvar {line.channel} one")
    await line.say(f"api uuid_getvar {line.channel} two")
    await line.execute("respond", "486", lock=False, number="1")
    await line.closes()
    await hang_up()


async def a_refused_leg(script: Script) -> None:
    line = await script.inbound()
    script.world.far(False, 486)
    await _place(script, line)
    await line.sees("BACKGROUND_JOB")


async def a_bridge(script: Script) -> None:
    """Two are connected, apart, connected again; the far end goes, and the near one stays."""
    hang_up, near, far, far_goes = await _pair(script)
    await _connect(near, far)
    await near.say(f"api uuid_transfer {near.channel} -both park: inline")
    await near.sees("CHANNEL_PARK")
    await far.sees("CHANNEL_PARK")
    await near.execute("playback", script.world.sound(0.1), number="9")
    await near.sees("Application-UUID=9 Application-Response")
    await near.say(f"api uuid_bridge {near.channel} {far.channel}")
    await near.sees("CHANNEL_BRIDGE", 2)
    await far_goes()
    await far.closes()
    await near.sees("CHANNEL_PARK", 2)
    await near.say(f"api uuid_bridge {near.channel} 00000000-0000-0000-0000-000000000000")
    await hang_up()
    await near.closes()


async def a_release(script: Script) -> None:
    """The audio past the switch and back; the near end goes, and the far one stays."""
    hang_up, near, far, far_goes = await _pair(script)
    await _connect(near, far)
    await near.say(f"api uuid_media off {near.channel}")
    await near.sees("CHANNEL_BRIDGE", 2)
    await far.sees("CHANNEL_PARK")
    await near.say(f"api uuid_media {near.channel}")
    await near.sees("CHANNEL_BRIDGE", 3)
    await hang_up()
    await near.closes()
    await far.sees("CHANNEL_PARK", 2)
    await far_goes()
    await far.closes()


async def _answered(script: Script) -> Callable[[], Awaitable[None]]:
    return await script.world.call("x")


async def _place(script: Script, line: Line) -> str:
    number = str(uuid.uuid4())
    script.names[number] = "far"
    told = (
        f"origination_uuid={number},originate_timeout=10,ignore_early_media=true,park_after_bridge=true,"
        f"hangup_after_bridge=false,sip_route_uri={script.world.route}"
    )
    script.names[script.world.route] = "<route>"
    here = f"{script.world.socket.host}:{script.world.socket.port}"
    script.names[here] = "<here>"
    await line.say(
        f"bgapi originate {{{told}}}sofia/tandem/sip:leg@acme.test '&socket({here} async full)'", Job_UUID="j"
    )
    return number


async def _pair(script: Script) -> tuple[Act, Line, Line, Act]:
    hang_up = await script.world.call("x")
    near = await script.arrival("near")
    await near.say(f"api uuid_setvar_multi {near.channel} park_after_bridge=true;hangup_after_bridge=false")
    await near.execute("answer", number="1")
    await near.sees("Application-UUID=1 Application-Response")
    inbound = await script.inbound()
    far_goes = script.world.far(True)
    await _place(script, inbound)
    far = await script.arrival("far")
    await inbound.sees("BACKGROUND_JOB")
    # The first park of each may come before or after it was asked for.
    for line in (near, far):
        line.events[:] = [one for one in line.events if one != "CHANNEL_PARK"]
    return hang_up, near, far, far_goes


async def _connect(near: Line, far: Line) -> None:
    await near.say(f"api uuid_bridge {near.channel} {far.channel}")
    await near.sees("CHANNEL_BRIDGE")


SCENARIOS: Final = {
    scenario.__name__: scenario
    for scenario in (
        login,
        commands,
        one_after_the_other,
        one_inside_the_other,
        what_goes_wrong,
        a_break,
        variables,
        a_refused_leg,
        a_bridge,
        a_release,
    )
}
