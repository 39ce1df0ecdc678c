"""Finding a tone: what must be heard, and what must not."""

from __future__ import annotations

import array
import math
import random
from pathlib import Path

import pytest

from edge_node.local import audio

RATE = audio.RATE


def sine(hz: float, seconds: float, level_dbfs: float = -10.0) -> array.array[int]:
    peak = 32_767 * 10 ** (level_dbfs / 20)
    return array.array("h", (round(peak * math.sin(2 * math.pi * hz * n / RATE)) for n in range(round(seconds * RATE))))


def silence(seconds: float) -> array.array[int]:
    return array.array("h", bytes(2 * round(seconds * RATE)))


def noise(seconds: float, peak: int = 12_000) -> array.array[int]:
    chance = random.Random(7)
    return array.array("h", (chance.randint(-peak, peak) for _ in range(round(seconds * RATE))))


def mixed(*parts: array.array[int]) -> array.array[int]:
    return array.array("h", (max(-32_768, min(32_767, sum(samples))) for samples in zip(*parts, strict=True)))


def mu_law(samples: array.array[int]) -> array.array[int]:
    """There and back through G.711: 8 bits on a logarithmic scale (the continuous form of the curve)."""

    def squeeze(sample: int) -> int:
        share = sample / 32_768
        code = round(127 * math.copysign(math.log1p(255 * abs(share)) / math.log(256), share))
        return round(32_768 * math.copysign((256 ** abs(code / 127) - 1) / 255, code))

    return array.array("h", (squeeze(sample) for sample in samples))


def look(samples: array.array[int], hz: float) -> audio.Heard:
    return audio.heard_in(audio.Recording(samples, RATE), hz)


@pytest.mark.parametrize("hz", [440, 1000])
def test_its_own_tone_is_heard_with_its_level(hz: int) -> None:
    found = look(sine(hz, 2.0), hz)
    assert found.confidence == pytest.approx(1.0)
    assert found.longest == pytest.approx(2.0)
    assert found.level_dbfs == pytest.approx(-10.0, abs=0.1)


def test_a_codec_does_not_hide_the_tone() -> None:
    found = look(mu_law(sine(1000, 2.0)), 1000)
    assert found.lasted(2.0)
    assert found.level_dbfs == pytest.approx(-10.0, abs=0.5)


@pytest.mark.parametrize(
    ("what", "samples"),
    [
        ("silence", silence(2.0)),
        ("the other party's tone", sine(440, 2.0)),
        ("a neighbour", sine(960, 2.0)),
        ("the second harmonic", sine(2000, 2.0)),
        ("half of it", sine(500, 2.0)),
        ("a tone too soft to be meant", sine(1000, 2.0, level_dbfs=-50.0)),
        ("loud noise", noise(2.0)),
        ("a whisper of it below another tone", mixed(sine(440, 2.0), sine(1000, 2.0, level_dbfs=-16.0))),
    ],
)
def test_anything_else_is_not_taken_for_the_tone(what: str, samples: array.array[int]) -> None:
    found = look(samples, 1000)
    assert found.total == 0, what
    assert found.level_dbfs == audio.SILENCE_DBFS


def test_a_gap_ends_the_longest_stretch() -> None:
    found = look(sine(1000, 1.0) + silence(0.5) + sine(1000, 0.6), 1000)
    assert found.total == pytest.approx(1.6)
    assert found.longest == pytest.approx(1.0)
    assert found.lasted(1.0)
    assert not found.lasted(1.1)


def test_a_window_sees_only_its_own_time(tmp_path: Path) -> None:
    path = tmp_path / "held.wav"
    audio.write_samples(path, sine(1000, 1.0) + silence(1.0) + sine(1000, 1.0))
    assert audio.heard(path, 1000, end=1.0).confidence == 1.0
    assert audio.heard(path, 1000, start=1.0, end=2.0).confidence == 0.0
    assert audio.heard(path, 1000, start=2.0).confidence == 1.0
    assert audio.heard(path, 1000, start=3.0).seconds == 0.0


def test_a_written_tone_is_read_back_and_loops_without_a_click(tmp_path: Path) -> None:
    path = tmp_path / "tone.wav"
    audio.write_tone(path, 440)
    tone = audio.read(path)
    assert (tone.rate, tone.seconds) == (RATE, 1.0)
    assert look(tone.samples + tone.samples, 440).lasted(2.0)
    assert tone.samples[0] == 0
    assert abs(tone.samples[-1]) <= abs(tone.samples[1])


def test_a_recording_in_progress_can_be_read(tmp_path: Path) -> None:
    finished, growing = tmp_path / "finished.wav", tmp_path / "growing.wav"
    audio.write_tone(finished, 440)
    whole = bytearray(finished.read_bytes())
    whole[40:44] = bytes(4)  # the length of the data is written last
    growing.write_bytes(whole[:9_001])
    assert audio.heard(growing, 440).lasted(0.5)
    growing.write_bytes(b"")
    assert audio.read(growing).seconds == 0
    assert audio.read(tmp_path / "absent.wav").seconds == 0


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "not.wav"
    path.write_bytes(b"OggS" + bytes(60))
    with pytest.raises(ValueError, match="not a WAV file"):
        audio.read(path)
    audio.write_tone(path, 440)
    stereo = bytearray(path.read_bytes())
    stereo[22] = 2
    path.write_bytes(stereo)
    with pytest.raises(ValueError, match="16-bit mono"):
        audio.read(path)


def test_loud_counts_whatever_is_no_silence(tmp_path: Path) -> None:
    path = tmp_path / "mixed.wav"
    audio.write_samples(path, silence(0.5) + noise(1.0) + silence(0.5) + sine(440, 0.5) + sine(440, 1.0, -60.0))
    assert audio.loud(path) == pytest.approx(1.5)


def test_nothing_is_loud_in_a_recording_that_has_not_begun(tmp_path: Path) -> None:
    assert audio.loud(tmp_path / "none.wav") == 0
