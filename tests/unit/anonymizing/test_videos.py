"""Videos: frames, times and sound survive, everything else of the file does not, and faces are followed."""

import json
from fractions import Fraction

import av
import cv2
import numpy as np
import pytest
from red_faces import picture, red_anonymizer

from veil.anonymizing.clips import ClipAnonymizer
from veil.anonymizing.videos import read_facts, read_frames, write_video
from veil.faces.images import UnreadableImageError

TICKS = 90_000


def _write(path, frames, times=None, rotation=0, tone=True):
    """An H.264 video with a tone, a title and a position; `times` in 1/25 s."""
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=25, options={"crf": "5", "preset": "ultrafast"})
        stream.height, stream.width, stream.pix_fmt = *frames[0].shape[:2], "yuv420p"
        stream.codec_context.time_base = Fraction(1, TICKS)
        if rotation:
            stream.set_display_rotation(rotation)
        sound = output.add_stream("aac", rate=44_100) if tone else None
        output.metadata["title"], output.metadata["location"] = "secret", "+47.1+008.1/"
        for number, pixels in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(pixels, format="bgr24")
            frame.pts, frame.time_base = (times or range(len(frames)))[number] * TICKS // 25, Fraction(1, TICKS)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
        if sound is not None:
            wave = np.sin(np.arange(44_100 * len(frames) // 25) * 2 * np.pi * 440 / 44_100).astype(np.float32)
            for start in range(0, len(wave), 1024):
                part = av.AudioFrame.from_ndarray(wave[None, start : start + 1024], format="fltp", layout="mono")
                part.sample_rate, part.pts, part.time_base = 44_100, start, Fraction(1, 44_100)
                output.mux(sound.encode(part))
            output.mux(sound.encode(None))


def _pitch(path):
    """Frequency of the sound in Hz."""
    with av.open(str(path)) as container:
        wave = np.concatenate([frame.to_ndarray()[0] for frame in container.decode(audio=0)])
    return np.abs(np.fft.rfft(wave)).argmax() * 44_100 / len(wave)


def _pixels(path):
    return [frame.pixels for frame in read_frames(path)]


def test_frames_times_and_sound_survive_and_metadata_does_not(tmp_path):
    frames = [picture((10 + 4 * number, 20), size=(120, 160)) for number in range(12)]
    times = [0, 1, 2, 5, 6, 7, 8, 12, 13, 14, 15, 20]
    _write(tmp_path / "in.mp4", frames, times)
    write_video(tmp_path / "out.mp4", tmp_path / "in.mp4", lambda number, pixels: 255 - pixels, keep_audio=True)
    before, after = list(read_frames(tmp_path / "in.mp4")), list(read_frames(tmp_path / "out.mp4"))
    assert [one.time * one.time_base for one in after] == [one.time * one.time_base for one in before]
    change = np.stack([255 - one.pixels.astype(int) for one in after]) - np.stack([one.pixels for one in before])
    assert np.abs(change).mean() < 3 and np.abs(change.mean()) < 0.5
    assert _pitch(tmp_path / "out.mp4") == pytest.approx(440, abs=5)
    assert b"secret" in (tmp_path / "in.mp4").read_bytes()
    content = (tmp_path / "out.mp4").read_bytes()
    assert b"secret" not in content and b"+47" not in content
    write_video(tmp_path / "mute.mkv", tmp_path / "in.mp4", lambda number, pixels: pixels, keep_audio=False)
    facts = read_facts(tmp_path / "mute.mkv")
    assert not facts.has_audio and read_facts(tmp_path / "in.mp4").has_audio


@pytest.mark.parametrize(
    ("rotation", "turn"), [(-90, cv2.ROTATE_90_CLOCKWISE), (90, cv2.ROTATE_90_COUNTERCLOCKWISE), (180, cv2.ROTATE_180)]
)
def test_a_video_that_was_taken_with_the_camera_turned_is_upright(tmp_path, rotation, turn):
    frames = [picture((10, 20), size=(120, 160))] * 2
    _write(tmp_path / "in.mov", frames, rotation=rotation, tone=False)
    upright = cv2.rotate(frames[0], turn)
    assert np.abs(_pixels(tmp_path / "in.mov")[0].astype(int) - upright).mean() < 4
    write_video(tmp_path / "out.mov", tmp_path / "in.mov", lambda number, pixels: pixels, keep_audio=True)
    with av.open(str(tmp_path / "out.mov")) as container:
        assert next(container.decode(video=0)).rotation == 0
    assert np.abs(_pixels(tmp_path / "out.mov")[0].astype(int) - upright).mean() < 4


@pytest.mark.parametrize("content", [b"", b"no video\n" * 100, b"\x00\x00\x00\x20ftypisom" + b"\x00" * 500])
def test_what_is_no_video_is_refused(tmp_path, content):
    (tmp_path / "film.mp4").write_bytes(content)
    with pytest.raises(UnreadableImageError, match="not a video, damaged or cut off"):
        read_facts(tmp_path / "film.mp4")


def test_a_face_is_one_person_and_covered_where_the_detector_loses_it(tmp_path):
    """The face is hidden from the detector, not from people, in the frames 8 to 10, and gone after frame 15."""
    frames = [picture((40 + 2 * number, 40), size=(160, 240)) for number in range(16)] + [picture(size=(160, 240))] * 16
    for number in (8, 9, 10):
        frames[number][frames[number][..., 2] == 255] = (0, 100, 255)
    _write(tmp_path / "in.mp4", frames, tone=False)
    faces = red_anonymizer()
    clip = ClipAnonymizer(tmp_path / "in.mp4", faces, "key", lambda done, total: None)
    assert clip.frames_without_face == 6
    done = clip.write(tmp_path / "out.mp4", keep_audio=False)
    made = _pixels(tmp_path / "out.mp4")
    for number in range(16):
        middle = made[number][58:78, 58 + 2 * number : 78 + 2 * number].astype(int)
        assert np.abs(middle - (255 - frames[number][68, 68 + 2 * number].astype(int))).mean() < 12, number
    for number in range(16, 26):  # held: black where it was, and only there
        assert made[number][40:96, 75:120].mean() < 4 and made[number][:20].mean() > 80
    assert all(frame.mean() < 4 for frame in made[26:])
    assert (done.frames, len(done.tracks), done.tracks[0].anonymized, done.black_frames) == (32, 1, 16, 6)
    assert done.reasons == {"just before or after a face is found": 10}
    (seed,) = set(faces.point.seeds)
    assert 0 <= seed < 2**31
    ClipAnonymizer(tmp_path / "in.mp4", again := red_anonymizer(), "other", lambda done, total: None).write(
        tmp_path / "again.mp4", keep_audio=False
    )
    assert set(again.point.seeds) != {seed}


def test_a_face_that_the_model_refuses_is_black_in_every_frame_and_counted(tmp_path):
    _write(tmp_path / "in.mp4", [picture((60, 50), size=(160, 240))] * 5, tone=False)
    clip = ClipAnonymizer(tmp_path / "in.mp4", red_anonymizer(fails=True), "key", lambda done, total: None)
    done = clip.write(tmp_path / "out.mp4", keep_audio=False)
    assert all(
        frame[45:110, 55:120].mean() < 4 and frame[:, 200:].mean() > 80 for frame in _pixels(tmp_path / "out.mp4")
    )
    assert json.loads(json.dumps(done.tracks[0].values())) == {
        "seconds": [0.0, 0.16],
        "anonymized": 0,
        "blacked_out": {"the model inverter@test failed": 5},
    }
