"""Public files as people have them: TorchScript, wrapped state dicts, files named wrongly, and files of other kinds."""

import argparse
import gzip
import io
import pickle
import pickletools
import struct
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from tests.helpers.golden import golden_rule, golden_seeds, golden_vectors, published_state
from w2l.core.errors import CheckpointError, ConfigError
from w2l.models import checkpoint
from w2l.models.archives import find_archive, read_tensors
from w2l.models.checkpoint import load_model, read_card
from w2l.models.file_kinds import kind_of
from w2l.models.onnx_export import export
from w2l.models.runtime import Runner
from w2l.nets.blocks import ConvBlock
from w2l.nets.discriminator import Discriminator, DiscriminatorDimensions
from w2l.nets.fork288 import Fork288
from w2l.nets.generator import Generator, GeneratorDimensions
from w2l.training.generator.initial_weights import start_from

SEED = golden_seeds("nets")[0]
State = dict[str, Tensor]


@dataclass(frozen=True)
class FewChannels(DiscriminatorDimensions):
    """Dimensions that stand for the published ones, to be quick."""

    size: int = 32
    width: int = 2


@pytest.fixture
def state(monkeypatch: pytest.MonkeyPatch) -> State:
    """The weights of a public discriminator, of few channels."""
    monkeypatch.setitem(checkpoint.NETWORKS, "discriminator", (Discriminator, FewChannels))
    torch.manual_seed(0)
    return Discriminator(FewChannels()).state_dict()


def same(path: Path, state: State) -> bool:
    """Whether a discriminator is loaded from `path` with all weights of `state`."""
    loaded = load_model(path, "discriminator")
    return all(torch.equal(value, state[key]) for key, value in loaded.network.state_dict().items())


@pytest.mark.filterwarnings("ignore:.*is deprecated:DeprecationWarning")
class TestTorchScript:
    def test_the_public_generator_traced_gives_the_reference_vectors(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        network = Generator()
        network.load_state_dict(published_state("wav2lip", SEED))
        mel, faces = map(torch.as_tensor, golden_rule().wav2lip_inputs(SEED))
        path = tmp_path / "Wav2Lip-SD-GAN.pt"
        with torch.no_grad():
            torch.jit.trace(network.eval(), (mel, faces), check_trace=False).save(str(path))

        def refuse(*_: object, **__: object) -> None:
            raise AssertionError("the code of the file was to be built")

        monkeypatch.setattr(torch.jit, "load", refuse)
        monkeypatch.setattr(torch._C, "import_ir_module", refuse)
        model = load_model(path, "generator")
        assert (model.card.kind, model.card.colour, model.card.references) == ("generator", "bgr", "same")
        with torch.no_grad():
            row = model.network(mel, faces)[0, :, 48]
        np.testing.assert_allclose(row.numpy(), golden_vectors(f"nets_seed{SEED}")["wav2lip4_row"], atol=2e-5)

    @pytest.mark.parametrize("half", [False, True], ids=["float32", "bfloat16"])
    @pytest.mark.parametrize("how", ["trace", "script", "traced within another"])
    def test_tensors_come_back_by_their_names(self, how: str, half: bool, tmp_path: Path) -> None:
        path, network = tmp_path / "some.pt", small()
        network = network.bfloat16() if half else network
        given = torch.zeros(1, 3, 8, 8, dtype=torch.bfloat16 if half else torch.float32)
        made: nn.Module = nn.ModuleDict({"netG": network})["netG"]
        if how == "traced within another":
            made = nn.Sequential(network)
        compiled: Any = torch.jit.script(made) if how == "script" else torch.jit.trace(made, given, check_trace=False)
        compiled.save(str(path))
        archive = find_archive(path)
        assert archive is not None
        found = read_tensors(path, archive)
        assert found.keys() == made.state_dict().keys()
        assert all(torch.equal(found[key], value) for key, value in made.state_dict().items())

    def test_frozen(self, tmp_path: Path) -> None:
        path = tmp_path / "frozen.pt"
        torch.jit.freeze(torch.jit.trace(small(), torch.zeros(1, 3, 8, 8), check_trace=False)).save(str(path))
        with pytest.raises(CheckpointError, match=r"frozen TorchScript.*save it without torch\.jit\.freeze"):
            load_model(path, "generator")

    def test_another_network_is_not_damaged(self, tmp_path: Path) -> None:
        path = tmp_path / "other.pt"
        torch.jit.trace(small(), torch.zeros(1, 3, 8, 8), check_trace=False).save(str(path))
        with pytest.raises(CheckpointError, match=r"holds 9 tensors such as '0\.conv_block\.0\.bias'") as caught:
            load_model(path, None)
        assert "damaged" not in str(caught.value)

    def test_cut_off_or_changed(self, tmp_path: Path) -> None:
        path = tmp_path / "some.pt"
        torch.jit.trace(small(), torch.zeros(1, 3, 8, 8), check_trace=False).save(str(path))
        content, rng = path.read_bytes(), np.random.default_rng(0)
        for trial in range(200):
            harmed = bytearray(content[: int(rng.integers(len(content)))] if trial % 4 == 0 else content)
            for place in rng.integers(0, len(harmed), 8 if trial % 4 else 0):
                harmed[place] = rng.integers(256)
            path.write_bytes(bytes(harmed))
            with pytest.raises(CheckpointError) as caught:  # whole by chance: still no network that we know
                load_model(path, None)
            assert "\n" not in str(caught.value)


def small() -> nn.Sequential:
    """A block named as in the public networks, and a convolution."""
    return nn.Sequential(ConvBlock(3, 4, 3), nn.Conv2d(4, 3, 1)).eval()


def archived(path: Path, data: bytes, storage: bytes = bytes(16)) -> Path:
    """A TorchScript archive with that ``data.pkl``."""
    with zipfile.ZipFile(path, "w") as file:
        for name, content in (("data.pkl", data), ("constants.pkl", b"\x80\x02)."), ("data/0", storage)):
            file.writestr(f"a/{name}", content)
    return path


def tensor_pickle(shape: str, strides: str, offset: str = "K\x00", numel: str = "K\x04") -> bytes:
    """The pickle of one tensor named ``w``; numbers as opcodes."""
    storage = f"(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpu{numel}tQ"
    made = f"ctorch._utils\n_rebuild_tensor_v2\n({storage}{offset}{shape}{strides}\x89ccollections\nOrderedDict\n)RtR"
    return b"\x80\x02}X\x01\x00\x00\x00w" + made.encode("latin-1") + b"s."


class TestLies:
    """Archives made by hand whose records contradict their content."""

    def test_an_honest_one(self, tmp_path: Path) -> None:
        path = archived(tmp_path / "a.pt", tensor_pickle("K\x02K\x02\x86", "K\x02K\x01\x86"))
        archive = find_archive(path)
        assert archive is not None
        assert torch.equal(read_tensors(path, archive)["w"], torch.zeros(2, 2))

    @pytest.mark.parametrize(
        "data",
        [
            tensor_pickle("K\x02K\x03\x86", "K\x03K\x01\x86"),
            tensor_pickle("K\x02K\x02\x86", "K\xffK\x01\x86"),
            tensor_pickle("K\x04\x85", "K\x01\x85", offset="K\x01"),
            tensor_pickle("K\x04\x85", "K\x01K\x01\x86"),
            tensor_pickle("J\xff\xff\xff\xff\x85", "K\x01\x85"),
            tensor_pickle("J\xff\xff\xff\x7f\x85", "K\x00\x85"),
            tensor_pickle("K\x04\x85", "K\x01\x85", numel="J\xff\xff\xff\x7f"),
            tensor_pickle("X\x01\x00\x00\x004\x85", "K\x01\x85"),
            b"\x80\x02" + b"]" * 3 + b"r\xff\xff\xff\xff",
            b"\x80\x02}q\x00X\x01\x00\x00\x00ah\x00s.",  # holds itself
            b"\x80\x02" + b"}X\x01\x00\x00\x00a" * 5000 + b"N" + b"s" * 5000 + b".",
            b"\x80\x02h\x05.",
            b"\x80\x02t.",
            b"\x80\x02(i__main__\nHarm\n.",
            b"",
        ],
        ids=[
            "shape beyond its storage", "stride beyond it", "offset beyond it", "strides of another rank",
            "negative shape", "a small storage seen large", "a storage larger than its entry", "text for a size",
            "no end", "a container in itself", "nested deeply", "unknown memo", "no mark", "INST", "empty",
        ],
    )  # fmt: skip
    def test_a_lie(self, data: bytes, tmp_path: Path) -> None:
        with pytest.raises(CheckpointError, match="damaged or truncated") as caught:
            load_model(archived(tmp_path / "a.pt", data), None)
        assert "\n" not in str(caught.value)

    def test_a_compressed_storage(self, tmp_path: Path) -> None:
        with zipfile.ZipFile(tmp_path / "a.pt", "w", zipfile.ZIP_DEFLATED) as file:
            data = tensor_pickle("J\x00\x00\x00\x02\x85", "K\x01\x85", numel="J\x00\x00\x00\x02")
            file.writestr("a/data.pkl", data)
            file.writestr("a/constants.pkl", b"\x80\x02).")
            file.writestr("a/data/0", bytes(2**27))
        with pytest.raises(CheckpointError, match="damaged or truncated"):
            load_model(tmp_path / "a.pt", None)


WRAPPINGS: list[Any] = [
    pytest.param(lambda s: s, id="bare"),
    pytest.param(lambda s: {"state_dict": prefixed(s, "module."), "global_step": np.int64(7)}, id="numpy-step"),
    pytest.param(lambda s: {"state_dict": s, "global_step": torch.tensor(7)}, id="tensor-step"),
    pytest.param(lambda s: prefixed(s, "module.module."), id="module-twice"),
    pytest.param(lambda s: {"state_dict": prefixed(s, "netG.module.")}, id="netG"),
    pytest.param(lambda s: prefixed(s, "_orig_mod."), id="compiled"),
    pytest.param(lambda s: {"model": s}, id="model"),
    pytest.param(lambda s: {"generator": s, "optimizer": {"state": {0: {"exp_avg": torch.ones(3)}}}}, id="generator"),
    pytest.param(lambda s: {"checkpoint": {"model": {"state_dict": s}}}, id="deep"),
    pytest.param(lambda s: {"model": {k: v + 1 for k, v in s.items()}, "ema": s}, id="average-first"),
    pytest.param(lambda s: {"model": {k: v.numpy() for k, v in s.items()}}, id="numpy-arrays"),
    pytest.param(lambda s: {k: v.double() for k, v in s.items()}, id="double"),
]


def prefixed(state: State, prefix: str) -> State:
    return {f"{prefix}{key}": value for key, value in state.items()}


class TestWrappings:
    @pytest.mark.parametrize("new", [True, False], ids=["zip", "legacy"])
    @pytest.mark.parametrize("wrap", WRAPPINGS)
    def test_a_state_dict_however_it_is_wrapped(
        self, wrap: Callable[[State], Any], new: bool, state: State, tmp_path: Path
    ) -> None:
        path = tmp_path / "disc.pth"
        content = wrap(state)
        torch.save(content, path, _use_new_zipfile_serialization=new)
        assert same(path, state)
        assert read_card(path).step == (7 if "global_step" in content else 0)

    @pytest.mark.parametrize("name", ["disc.safetensors", "disc.pth", "disc.model", "disc"])
    @pytest.mark.parametrize("prefix", ["", "module.", "netD."])
    def test_safetensors_without_a_card(self, prefix: str, name: str, state: State, tmp_path: Path) -> None:
        save_file({key: value.contiguous() for key, value in prefixed(state, prefix).items()}, tmp_path / name)
        assert same(tmp_path / name, state)
        assert (read_card(tmp_path / name).kind, read_card(tmp_path / name).colour) == ("discriminator", "bgr")

    def test_a_checkpoint_named_safetensors(self, state: State, tmp_path: Path) -> None:
        torch.save(state, tmp_path / "disc.safetensors")
        assert same(tmp_path / "disc.safetensors", state)

    def test_what_is_wanted_is_taken_of_several(self, state: State, tmp_path: Path) -> None:
        generator = {"netG.face_decoder_blocks.0.0.conv_block.0.weight": torch.zeros(1)}
        torch.save({**generator, **prefixed(state, "netD.")}, tmp_path / "both.pth")
        assert same(tmp_path / "both.pth", state)
        with pytest.raises(CheckpointError, match="does not fit its dimensions"):
            load_model(tmp_path / "both.pth", "generator")

    def test_a_whole_network_is_taken_as_data(
        self, state: State, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        network = Discriminator(FewChannels())
        network.load_state_dict(state)
        torch.save({"args": argparse.Namespace(lr=1e-4), "network": network}, tmp_path / "whole.pth")
        assert same(tmp_path / "whole.pth", state)
        assert "contains more than weights; only the weights were read" in caplog.text
        torch.save(argparse.Namespace(lr=1), tmp_path / "none.pth", _use_new_zipfile_serialization=False)
        with pytest.raises(CheckpointError, match=r"more than weights \(argparse\.Namespace\); it was not loaded"):
            load_model(tmp_path / "none.pth", None)


def zipped(names: list[str]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name in names:
            file.writestr(name, b"content")
    return buffer.getvalue()


def npz() -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, a=np.zeros(3))
    return buffer.getvalue()


OTHER_KINDS: list[Any] = [
    pytest.param(b"", "empty", id="empty"),
    pytest.param(b"\x89HDF\r\n\x1a\n" + bytes(500), "HDF5", id="keras"),
    pytest.param(b"GGUF\x03" + bytes(500), "GGUF", id="gguf"),
    pytest.param(b"\x1c\x00\x00\x00TFL3" + bytes(99), "TensorFlow Lite", id="tflite"),
    pytest.param(gzip.compress(b"x" * 99), "unpack it", id="gzip"),
    pytest.param(bytes(257) + b"ustar\x0000" + bytes(300), "tar archive", id="tar"),
    pytest.param(zipped(["checkpoints/wav2lip_gan.pth"]), r"contains checkpoints/wav2lip_gan\.pth", id="zipped"),
    pytest.param(npz(), r"\.npz", id="npz"),
    pytest.param(b"\n<!DOCTYPE html><html>Google Drive can't scan this file", "web page", id="page"),
    pytest.param(b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "git lfs pull", id="lfs"),
    pytest.param(b"hello, this is no model\n" * 9, "text file", id="text"),
    pytest.param(b"\x00\x00\x00\x20ftypisom" + bytes(99), "video", id="mp4"),
    pytest.param(pickle.dumps({"a": [1.0] * 9}), "pickle.*not loaded", id="pickle"),
    pytest.param(pickle.dumps({"a": [1.0] * 9}, 2), "pickle.*not loaded", id="pickle2"),
]


class TestOtherKinds:
    @pytest.mark.parametrize("suffix", [".pth", ".safetensors", ".onnx"])
    @pytest.mark.parametrize(("content", "said"), OTHER_KINDS)
    def test_a_whole_file_of_another_kind_is_named(
        self, content: bytes, said: str, suffix: str, tmp_path: Path
    ) -> None:
        path = tmp_path / f"model{suffix}"
        path.write_bytes(content)
        with pytest.raises(CheckpointError, match=said) as caught:
            load_model(path, "generator")
        assert content == b"" or "damaged" not in str(caught.value)
        assert "\n" not in str(caught.value)

    @pytest.mark.parametrize(
        ("key", "said"),
        [
            ("conv3_3_norm_mbox_conf.weight", "S3FD, a face detector"),
            ("Mixed_5b.branch1x1.conv.weight", "Inception v3, for FID"),
            ("netG.sam.sa.conv1.weight", "384 px fork"),
            ("something.else", "holds 1 tensors such as 'something.else'"),
        ],
    )
    def test_another_network_is_named(self, key: str, said: str, tmp_path: Path) -> None:
        for suffix, save in ((".pth", torch.save), (".safetensors", save_file)):
            path = tmp_path / f"other{suffix}"
            save({key: torch.zeros(1)}, path)
            with pytest.raises(CheckpointError, match=said) as caught:
                load_model(path, "generator")
            assert "damaged" not in str(caught.value)

    def test_one_byte_at_a_time(self, tmp_path: Path) -> None:
        """Heads of every length say something, of every kind."""
        heads = [b"PK\x03\x04aaaa", struct.pack("<Q", 2) + b"{}", b"\x08\x08\x12\x00", b"\x80\x02cos\nsystem\n"]
        for head in heads:
            for length in range(len(head) + 1):
                (tmp_path / "model").write_bytes(head[:length])
                assert kind_of(tmp_path / "model").container in ("safetensors", "torch", "onnx", "other")
                with pytest.raises(CheckpointError):
                    load_model(tmp_path / "model", None)

    def test_the_reader_knows_every_opcode_of_pytorchs_writers(self, tmp_path: Path) -> None:
        """A pickle of each protocol is read or refused in one line."""
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            data = pickle.dumps({"a": (1, 2.5, None, True, b"x", "y", [1], {2}, {"b": 2**70})}, protocol)
            assert list(pickletools.genops(data))
            with pytest.raises(CheckpointError, match=r"does not contain weights|which no checkpoint needs|damaged"):
                load_model(archived(tmp_path / "a.pt", data), None)


class TestFork:
    """The generator of the 288 px fork, by its names and shapes."""

    @pytest.mark.parametrize("prefix", ["", pytest.param("module.", marks=pytest.mark.slow)])
    @pytest.mark.parametrize("layout", ["fork288", "fork288-prelu"])
    def test_it_is_rebuilt_and_run(self, layout: Any, prefix: str, tmp_path: Path) -> None:
        torch.manual_seed(0)
        network = Fork288(GeneratorDimensions(288, layout=layout)).eval()
        torch.save({"state_dict": prefixed(network.state_dict(), prefix)}, tmp_path / "fork.pth")
        model = load_model(tmp_path / "fork.pth", "generator")
        assert (model.card.dimensions["layout"], model.card.crop.size, model.card.colour) == (layout, 288, "bgr")
        runner = Runner(model, first_row=150, batch=1)
        faces = np.random.default_rng(0).integers(0, 256, (1, 288, 288, 6), dtype=np.uint8)
        mels = np.zeros((1, 80, 16), dtype=np.float32)
        with torch.no_grad():
            seen = torch.from_numpy(faces).permute(0, 3, 1, 2).float() / 255
            whole = network(torch.zeros(1, 1, 80, 16), seen)[0].permute(1, 2, 0).numpy() * 255
        np.testing.assert_allclose(runner(mels, faces)[0], whole[150:], atol=0.05)
        assert runner.backend == "torch"

    def test_its_tensors_are_those_of_the_fork(self) -> None:
        """Counts of tensors and shapes that its published layout has."""
        with torch.device("meta"):
            plain, slopes = (
                Fork288(GeneratorDimensions(288, layout=layout)).state_dict() for layout in ("fork288", "fork288-prelu")
            )
        blocks = {key.removesuffix(".conv_block.0.weight") for key in plain if key.endswith(".conv_block.0.weight")}
        assert set(slopes) - set(plain) == {f"{block}.act.weight" for block in blocks}
        assert len([key for key in plain if key.startswith("face_encoder_blocks.")]) == 22 * 7
        assert len([key for key in plain if key.startswith("face_decoder_blocks.")]) == 24 * 7
        assert len([key for key in plain if key.startswith("audio_encoder.")]) == 13 * 7
        shapes = {"face_encoder_blocks.1.0": (32, 16, 5, 5), "face_decoder_blocks.2.0": (1024, 512, 3, 3)}
        assert all(plain[f"{key}.conv_block.0.weight"].shape == shape for key, shape in shapes.items())

    def test_what_cannot_be_done_with_it(self, tmp_path: Path) -> None:
        network = Fork288(GeneratorDimensions(288, layout="fork288")).eval()
        torch.save(network.state_dict(), tmp_path / "fork.pth")
        model = load_model(tmp_path / "fork.pth", "generator")
        with pytest.raises(CheckpointError, match="fork288 cannot be exported as ONNX"):
            export(model, tmp_path / "fork.onnx")
        with pytest.raises(ConfigError, match="layout=fork288"):
            start_from(Generator(GeneratorDimensions(64, 2)), model)

    def test_another_fork_is_named(self, tmp_path: Path) -> None:
        torch.save(Generator(GeneratorDimensions(192, 4)).state_dict(), tmp_path / "fork.pth")
        with pytest.raises(CheckpointError, match="a fork of Wav2Lip with 8 levels of 4 channels and more") as caught:
            load_model(tmp_path / "fork.pth", "generator")
        assert "damaged" not in str(caught.value)
