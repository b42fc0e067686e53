"""Reading the frames of a video upright, and writing a video of frames, with or without the sound of another."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import av
import cv2
import numpy as np
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.stream import Disposition
from av.video.reformatter import Interpolation
from av.video.stream import VideoStream

from veil.faces.images import MAX_PIXELS, UnreadableImageError

SUFFIXES = frozenset(
    (".3gp", ".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".mts", ".ogv", ".ts", ".webm",
     ".wmv")
)  # fmt: skip
"""Of files that are read as videos."""

WRITTEN_SUFFIXES = frozenset((".m4v", ".mkv", ".mov", ".mp4"))
"""Containers that are written; what comes in another becomes .mp4."""

_QUALITY = {"crf": "18"}
"""H.264 at which people see no difference to the original."""

_SCALING = (
    Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT | Interpolation.FULL_CHR_H_INP
)
"""Of colours, to RGB and back; without these, a frame gets darker by two levels each time."""

_TURNS = {90: cv2.ROTATE_90_COUNTERCLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_CLOCKWISE}


class Facts(NamedTuple):
    """What a video's container says.

    Attributes:
        rate: frames per second, on average.
        frames: how many there are, 0 if the container does not say so.
        has_audio: whether it has sound.
        left_out: kinds of further streams, which are not written: subtitles, data such as positions, cover pictures.
    """

    rate: float
    frames: int
    has_audio: bool
    left_out: tuple[str, ...]


class Frame(NamedTuple):
    """One frame.

    Attributes:
        pixels: uint8 (H, W, 3), BGR, upright.
        time: in units of `time_base`.
        time_base: seconds.
        decoded: as it lay in the file, for its kind of colours.
    """

    pixels: np.ndarray
    time: int
    time_base: Fraction
    decoded: av.VideoFrame


def output_name(path: Path) -> str:
    """Name of the anonymized file: the same, or with .mp4 behind it where the container has to be another.

    >>> output_name(Path("a/clip.MOV")), output_name(Path("a/clip.avi"))
    ('clip.MOV', 'clip.avi.mp4')
    """
    return path.name if path.suffix.lower() in WRITTEN_SUFFIXES else f"{path.name}.mp4"


def read_facts(path: Path) -> Facts:
    """Read what a video's container says.

    Raises:
        UnreadableImageError: it is no video, or damaged.
    """
    with _open(path) as (container, video):
        others = [stream for stream in container.streams if stream not in (video, *container.streams.audio[:1])]
        kinds = tuple(sorted({"video" if stream.type == "video" else str(stream.type) for stream in others}))
        return Facts(float(_rate(video)), video.frames, bool(container.streams.audio), kinds)


def read_frames(path: Path) -> Iterator[Frame]:
    """Decode a video, turned as its container says.

    Raises:
        UnreadableImageError: it is no video, or damaged.
    """
    with _open(path) as (container, video):
        video.thread_type = "AUTO"
        rate, base = _rate(video), video.time_base or 1 / _rate(video)
        size = None
        for number, frame in enumerate(container.decode(video)):
            pixels: np.ndarray = frame.to_ndarray(format="bgr24", interpolation=_SCALING)
            if (turn := _TURNS.get(frame.rotation % 360)) is not None:
                pixels = cv2.rotate(pixels, turn)
            if size not in (None, pixels.shape):
                raise UnreadableImageError("the size of its frames changes")
            size = pixels.shape
            yield Frame(pixels, round(number / rate / base) if frame.pts is None else frame.pts, base, frame)
        if size is None:
            raise UnreadableImageError("a video without a frame")


def write_video(path: Path, source: Path, render: Callable[[int, np.ndarray], np.ndarray], keep_audio: bool) -> None:
    """Write a video whose frames are made from those of another, at the same times.

    Titles, positions, dates, chapters, subtitles, cover pictures and all streams but the first of video and sound are
    left out.

    Args:
        path: of the new video; its suffix decides about the container.
        source: the video whose frames, times and sound are used.
        render: maps the number of a frame and its pixels, uint8 (H, W, 3), BGR, to the new pixels.
        keep_audio: whether the first stream of sound is kept.

    Raises:
        UnreadableImageError: the source is no video, or damaged.
        OSError: the file cannot be written.
    """
    with _open(source) as (container, video), av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=_rate(video), options=_QUALITY)
        audio = container.streams.audio[0] if keep_audio and container.streams.audio else None
        sound = None if audio is None else _add_sound(output, audio)
        packets = iter(()) if audio is None or sound is None else _sound_packets(container, audio, sound)
        packet = next(packets, None)
        for number, frame in enumerate(read_frames(source)):
            if number == 0:
                _set_up(stream, frame)
            output.mux(stream.encode(_to_yuv(frame, render(number, frame.pixels))))
            while packet is not None and (packet.dts or 0) * packet.time_base <= frame.time * frame.time_base:
                output.mux(packet)
                packet = next(packets, None)
        output.mux(stream.encode(None))
        if packet is not None:
            output.mux([packet, *packets])


def _set_up(stream: VideoStream, first: Frame) -> None:
    height, width = first.pixels.shape[:2]
    # H.264 halves the resolution of colours: a last odd row or column is repeated.
    stream.height, stream.width = height + height % 2, width + width % 2
    stream.pix_fmt = "yuv420p"
    stream.codec_context.time_base = first.time_base
    for name in ("color_range", "color_primaries", "color_trc", "colorspace"):
        setattr(stream, name, getattr(first.decoded, name))


def _to_yuv(frame: Frame, pixels: np.ndarray) -> av.VideoFrame:
    height, width = pixels.shape[:2]
    even = np.asarray(cv2.copyMakeBorder(pixels, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE), np.uint8)
    made = av.VideoFrame.from_ndarray(even, format="bgr24").reformat(
        format="yuv420p",
        dst_colorspace=frame.decoded.colorspace,
        dst_color_range=frame.decoded.color_range,
        interpolation=_SCALING,
    )
    made.pts, made.time_base = frame.time, frame.time_base
    return made


def _add_sound(output: OutputContainer, audio: AudioStream) -> AudioStream:
    """A stream for the same sound: as it is where the container can hold it, otherwise as AAC."""
    if audio.codec_context.name in output.supported_codecs:
        return output.add_stream_from_template(audio)
    return output.add_stream("aac", rate=audio.rate)


def _sound_packets(container: InputContainer, audio: AudioStream, sound: AudioStream) -> Iterator[av.Packet]:
    if sound.codec_context.is_encoder:
        for decoded in container.decode(audio):
            yield from sound.encode(decoded)
        yield from sound.encode(None)
        return
    for packet in container.demux(audio):
        if packet.dts is not None:  # the last one only says that there are no more
            packet.stream = sound
            yield packet


@contextmanager
def _open(path: Path) -> Iterator[tuple[InputContainer, VideoStream]]:
    """A video's container and its first stream of moving pictures."""
    try:
        with av.open(str(path)) as container:
            # A cover picture is a stream of one frame.
            moving = [one for one in container.streams.video if not one.disposition & Disposition.attached_pic]
            if not moving:
                raise UnreadableImageError("no video in it")
            if moving[0].width * moving[0].height > MAX_PIXELS:
                raise UnreadableImageError(f"frames larger than {MAX_PIXELS // 10**6} megapixels")
            yield container, moving[0]
    except (av.error.InvalidDataError, av.error.EOFError) as error:
        raise UnreadableImageError("not a video, damaged or cut off") from error


def _rate(video: VideoStream) -> Fraction:
    rate = video.average_rate or video.guessed_rate
    if not rate:
        raise UnreadableImageError("a video without a frame rate")
    return rate
