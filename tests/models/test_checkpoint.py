"""Model files: what is saved comes back, published checkpoints are recognised, bad files are refused in one line."""

import dataclasses
import json
import pickle
import struct
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.helpers.golden import golden_seeds, golden_vectors, published_state
from w2l.core.errors import CacheError, CheckpointError
from w2l.core.files import fingerprint, write_atomic
from w2l.features.crop import CropSpec
from w2l.models import checkpoint
from w2l.models.checkpoint import (
    PUBLIC_DATA,
    Kind,
    Model,
    ModelCard,
    card_fingerprint,
    dimensions_of,
    load_model,
    load_state,
    marks_of,
    read_card,
    save_model,
    save_state,
)
from w2l.models.lineage import PUBLISHED_EXPERT, TaughtBy, weights_mark
from w2l.nets.discriminator import Discriminator, DiscriminatorDimensions
from w2l.nets.expert import Expert, ExpertDimensions
from w2l.nets.generator import Generator, GeneratorDimensions
from w2l.nets.judge import Judge, JudgeDimensions

SEED = golden_seeds("nets")[0]
SMALL: list[Any] = [
    pytest.param("generator", Generator(GeneratorDimensions(64, 2, 2, "lower")), id="generator"),
    pytest.param("expert", Expert(ExpertDimensions(64, 5, 2, signed=True)), id="expert"),
    pytest.param("discriminator", Discriminator(DiscriminatorDimensions(64, 2, 5)), id="discriminator"),
    pytest.param("judge", Judge(JudgeDimensions(64, 6)), id="judge"),
]


def card_for(kind: Kind, network: nn.Module, **facts: Any) -> ModelCard:
    return ModelCard(kind, dimensions_of(network), **facts)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """A small expert's file."""
    network = Expert(ExpertDimensions(64, 5, 2))
    save_model(tmp_path / "expert.safetensors", network, card_for("expert", network))
    return tmp_path / "expert.safetensors"


class TestOurs:
    @pytest.mark.parametrize(("kind", "network"), SMALL)
    def test_round_trip(self, kind: Kind, network: nn.Module, tmp_path: Path) -> None:
        path = tmp_path / "model.safetensors"
        network = network.to(memory_format=torch.channels_last) if kind != "judge" else network  # type: ignore[call-overload]
        card = card_for(
            kind,
            network,
            crop=CropSpec("box", 64, (0, 10, 2, 3), 0.2),
            step=17,
            data="puppets",
            licence="CC0",
            scores={"auc": 0.75},
            scale=3.5,
            bias=-1.25,
            calibrated=True,
            schedule={"l1": 0.97, "sync": 0.03},
            teachers=(TaughtBy("mine/expert-best", "ab" * 32, "cd" * 32, ("ef" * 32,)),),
            ancestors=("01" * 32,),
        )
        save_model(path, network, card)
        model = load_model(path, kind)
        assert read_card(path) == model.card == card
        assert (model.path, model.network.training) == (path, False)
        state = model.network.state_dict()
        assert list(state) == list(network.state_dict())
        assert all(torch.equal(state[key], value) for key, value in network.state_dict().items())

    def test_the_file_is_the_same_every_time(self, saved: Path, tmp_path: Path) -> None:
        model = load_model(saved, "expert")
        save_model(tmp_path / "again.safetensors", model.network, model.card)
        assert (tmp_path / "again.safetensors").read_bytes() == saved.read_bytes()

    def test_a_card_of_0_1_names_the_file_of_the_teacher(self, saved: Path) -> None:
        as_of_0_1(saved, "ab" * 32)
        assert read_card(saved).teachers == (TaughtBy(sha256="ab" * 32),)
        rewrite_metadata(saved, {"w2l": '{"kind": "expert", "dimensions": {}, "teacher": ""}'})
        assert read_card(saved).teachers == ()

    def test_published_weights_imported_by_0_1_are_recognised(self, saved: Path) -> None:
        model = load_model(saved, "expert")
        save_model(saved, model.network, dataclasses.replace(model.card, data=PUBLIC_DATA))
        as_of_0_1(saved, "")
        assert read_card(saved).ancestors == (PUBLISHED_EXPERT,)

    def test_the_fingerprint_of_a_card_stays_what_it_was_before_cards_named_ancestors(self, saved: Path) -> None:
        """Runs that were begun before go on: what tells them apart has not changed."""
        facts = as_of_0_1(saved, "ab" * 32)
        assert card_fingerprint(read_card(saved)) == fingerprint(facts)
        assert card_fingerprint(dataclasses.replace(read_card(saved), ancestors=("cd" * 32,))) == fingerprint(facts)

    def test_marks_of_weights_stay_when_the_card_changes(self, saved: Path, tmp_path: Path) -> None:
        model = load_model(saved, "expert")
        save_model(tmp_path / "other.safetensors", model.network, dataclasses.replace(model.card, step=99))
        other = load_model(tmp_path / "other.safetensors", "expert")
        assert set(marks_of(model)) & set(marks_of(other)) == {weights_mark(model.network)}
        with torch.no_grad():
            next(other.network.parameters()).view(-1)[0] += 1e-6
        assert not set(marks_of(model)) & {weights_mark(other.network)}

    def test_another_kind(self, saved: Path) -> None:
        with pytest.raises(CheckpointError, match=r"expert\.safetensors is of kind expert, not judge"):
            load_model(saved, "judge")

    @pytest.mark.parametrize("share", [0.0, 0.001, 0.1, 0.5, 0.999])
    def test_cut_off(self, saved: Path, share: float) -> None:
        content = saved.read_bytes()
        saved.write_bytes(content[: int(share * len(content))])
        for read in (read_card, lambda path: load_model(path, "expert")):
            with pytest.raises(CheckpointError, match="damaged or truncated") as caught:
                read(saved)
            assert "\n" not in str(caught.value)

    @pytest.mark.parametrize(
        ("metadata", "said"),
        [
            (None, "does not fit its dimensions"),
            ({"w2l": "{"}, "has an unreadable card"),
            ({"w2l": "[1, 2]"}, "has an unreadable card"),
            ({"w2l": '{"kind": "expert", "dimensions": {}, "wings": 2}'}, "unknown setting wings"),
            ({"w2l": '{"kind": "poet", "dimensions": {}}'}, "'poet'"),
            ({"w2l": '{"kind": "expert", "dimensions": {"size": 33}}'}, "dimensions that cannot be built"),
            ({"w2l": '{"kind": "expert", "dimensions": {"depth": 9}}'}, "unknown setting depth"),
            (
                {"w2l": '{"kind": "expert", "dimensions": {"size": 64, "width": 3}}'},
                "its dimensions: size mismatch",
            ),
            ({"w2l": '{"kind": "expert", "dimensions": {"size": 32, "width": 2}}'}, r"is unknown|does not fit"),
            ({"w2l": '{"kind": "expert", "dimensions": {"size": 128, "width": 2}}'}, r"is missing|does not fit"),
        ],
    )
    def test_cards_that_do_not_fit(self, saved: Path, metadata: dict[str, str] | None, said: str) -> None:
        rewrite_metadata(saved, metadata or {"format": "pt"})
        with pytest.raises(CheckpointError, match=said) as caught:
            load_model(saved, "expert")
        assert "\n" not in str(caught.value)

    def test_missing(self, tmp_path: Path) -> None:
        for path in (tmp_path / "none.safetensors", tmp_path / "none.pth", tmp_path):
            with pytest.raises(CheckpointError, match="does not exist; check the path"):
                load_model(path, "expert")

    def test_a_full_disk_leaves_the_file_before(self, saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        before = saved.read_bytes()

        def full(_handle: int) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("os.fsync", full)
        network = Expert(ExpertDimensions(64, 5, 2))
        with pytest.raises(CacheError, match=r"expert\.safetensors cannot be written: No space left.*check space"):
            save_model(saved, network, card_for("expert", network))
        assert saved.read_bytes() == before
        assert [path.name for path in saved.parent.iterdir()] == [saved.name]


def rewrite_metadata(path: Path, metadata: dict[str, str]) -> dict[str, str]:
    """Give a safetensors file other metadata, and return those before."""
    content = path.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    before: dict[str, str] = header["__metadata__"]
    text = json.dumps({**header, "__metadata__": metadata}).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + content[8 + length :])
    return before


def as_of_0_1(path: Path, teacher: str) -> dict[str, Any]:
    """Give a model file the card that w2l 0.1 would have written, and return its facts."""
    facts = json.loads(rewrite_metadata(path, {})["w2l"])
    facts = {name: value for name, value in facts.items() if name not in ("teachers", "ancestors")}
    facts["teacher"] = teacher
    rewrite_metadata(path, {"w2l": json.dumps(facts)})
    return facts


PUBLISHED = [
    pytest.param("generator", "wav2lip", "module.", id="generator"),
    pytest.param("expert", "expert", "module.", id="expert"),
    pytest.param("discriminator", "disc_qual", "", id="discriminator"),
    pytest.param("judge", "syncnet_v2", "", id="judge"),
]


class TestPublished:
    """Files as the authors' code writes them."""

    @pytest.mark.parametrize(("kind", "network", "prefix"), PUBLISHED)
    def test_it_is_recognised_and_gives_the_reference_vectors(
        self,
        kind: Kind,
        network: str,
        prefix: str,
        golden_rule: ModuleType,
        tmp_path: Path,
    ) -> None:
        state = {f"{prefix}{key}": value for key, value in published_state(network, SEED).items()}
        content: dict[str, Any] = {"state_dict": state, "optimizer": None, "global_step": 3, "global_epoch": 1}
        if kind == "judge":  # published as weights alone, by a PyTorch without counters
            content = {key: value for key, value in state.items() if not key.endswith("num_batches_tracked")}
        path = tmp_path / f"{network}.pth"
        torch.save(content, path)
        model = load_model(path, kind)
        assert (model.card.kind, model.card.colour, model.network.training) == (kind, "bgr", False)
        assert model.card.crop.kind == ("judge" if kind == "judge" else "box")
        assert model.card.crop.size == (224 if kind == "judge" else 96)
        assert not model.card.calibrated
        assert (PUBLISHED_EXPERT in marks_of(model)) == (kind == "expert")
        assert any(PUBLISHED_EXPERT in teacher.marks for teacher in model.card.teachers) == (kind == "generator")
        self.check(model, golden_rule, golden_vectors(f"nets_seed{SEED}"))
        other: Kind = "expert" if kind != "expert" else "generator"
        with pytest.raises(CheckpointError, match=f"is of kind {kind}, not {other}"):
            load_model(path, other)

    @staticmethod
    @torch.no_grad()
    def check(model: Model, rule: ModuleType, vectors: Any) -> None:
        net: Any = model.network

        def given(name: str, shape: tuple[int, ...], kind: str) -> Tensor:
            return torch.as_tensor(rule.array_for(SEED, name, shape, kind))

        if model.card.kind == "generator":
            mel, faces = map(torch.as_tensor, rule.wav2lip_inputs(SEED))
            np.testing.assert_allclose(net(mel, faces)[0, :, 48].numpy(), vectors["wav2lip4_row"], atol=2e-5)
        elif model.card.kind == "expert":
            audio, face = net(given("expert.mel", (4, 1, 80, 16), "mel"), given("expert.face", (4, 15, 48, 96), "unit"))
            np.testing.assert_allclose((audio * face).sum(1).numpy(), vectors["expert_cos"], atol=2e-5)
        elif model.card.kind == "discriminator":
            faces = given("disc.face", (2, 3, 5, 96, 96), "unit").permute(2, 0, 1, 3, 4).flatten(0, 1)[..., 48:, :]
            np.testing.assert_allclose(net(faces).numpy(), vectors["disc_pred"], atol=2e-5)
        else:
            sound = 20 * given("sv2.aud", (3, 1, 13, 20), "normal")
            np.testing.assert_allclose(net.forward_aud(sound).numpy(), vectors["sv2_aud"], atol=2e-3)

    def test_an_incomplete_one(self, tmp_path: Path) -> None:
        with torch.device("meta"):
            shapes = {key: value.shape for key, value in Expert().state_dict().items()}
        state = {key: torch.zeros(()).expand(shape) for key, shape in shapes.items()}
        path = tmp_path / "expert.pth"
        missing = "audio_encoder.3.conv_block.0.weight"
        torch.save({key: value for key, value in state.items() if key != missing}, path)
        with pytest.raises(CheckpointError, match=r"not a complete expert: audio_encoder\.3\S+ is missing"):
            load_model(path, "expert")
        torch.save({**state, "extra": torch.zeros(1)}, path)
        with pytest.raises(CheckpointError, match="extra is unknown"):
            load_model(path, "expert")

    def test_one_of_other_dimensions(self, tmp_path: Path) -> None:
        torch.save(Expert(ExpertDimensions(96, 5, 8)).state_dict(), tmp_path / "small.pth")
        with pytest.raises(CheckpointError, match="does not fit its dimensions: size mismatch") as caught:
            load_model(tmp_path / "small.pth", "expert")
        assert "\n" not in str(caught.value)


class Harm:
    """Runs code when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.marker,))


class TestBadFiles:
    @pytest.mark.parametrize("how", ["pickle", "torch"])
    def test_code_is_not_run(self, how: str, tmp_path: Path) -> None:
        path, marker = tmp_path / "evil.pth", tmp_path / "marker"
        content = {"state_dict": Harm(marker)}
        if how == "pickle":
            path.write_bytes(pickle.dumps(content))
        else:
            torch.save(content, path)
        with pytest.raises(CheckpointError, match="it was not loaded") as caught:
            load_model(path, "expert")
        assert not marker.exists()
        assert "\n" not in str(caught.value)

    @pytest.mark.parametrize(
        "content",
        [
            b"",
            b"hello, this is no model\n" * 9,
            b"\x80\x02",
            b"PK\x03\x04" + bytes(90),
            b"e\x00",
            b"\x80\x02U",
            bytes(64),
        ],
        ids=["empty", "text", "pickle", "zip", "index", "struct", "zeros"],
    )
    @pytest.mark.parametrize("suffix", [".pth", ".safetensors", ".model"])
    def test_no_model_at_all(self, content: bytes, suffix: str, tmp_path: Path) -> None:
        path = tmp_path / f"model{suffix}"
        path.write_bytes(content)
        with pytest.raises(CheckpointError, match=str(path)) as caught:
            load_model(path, "generator")
        assert "\n" not in str(caught.value)

    @pytest.mark.parametrize("new", [True, False], ids=["zip", "legacy"])
    def test_cut_off_or_damaged(self, new: bool, tmp_path: Path) -> None:
        path = tmp_path / "model.pth"
        torch.save({"state_dict": {"a": torch.randn(40, 40)}}, path, _use_new_zipfile_serialization=new)
        content = path.read_bytes()
        rng = np.random.default_rng(0)
        for trial in range(150):
            damaged = bytearray(content[: int(rng.integers(0, len(content)))] if trial % 2 else content)
            if not trial % 2:
                for place in rng.integers(0, 900, 6):
                    damaged[place] = rng.integers(256)
            path.write_bytes(bytes(damaged))
            with pytest.raises(CheckpointError) as caught:  # whole by chance: still no network that we know
                load_model(path, "expert")
            assert "\n" not in str(caught.value)

    @pytest.mark.parametrize(
        "content", [[1, 2], {"state_dict": [1]}, {"a": 3}, {"state_dict": {"a": torch.ones(2)}}, {}]
    )
    def test_checkpoints_of_something_else(self, content: Any, tmp_path: Path) -> None:
        torch.save(content, tmp_path / "model.pth")
        with pytest.raises(CheckpointError, match=r"a dictionary|not contain weights|none of the known public"):
            load_model(tmp_path / "model.pth", "expert")


class TestState:
    def test_round_trip(self, tmp_path: Path) -> None:
        network = nn.Conv2d(2, 3, 3).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        optimiser = torch.optim.Adam(network.parameters())
        network(torch.ones(1, 2, 4, 4)).sum().backward()
        optimiser.step()
        save_state(tmp_path / "state.pt", {"step": 3, "best": -float("inf"), "o": optimiser.state_dict()})
        state = load_state(tmp_path / "state.pt")
        assert (state["step"], state["best"]) == (3, -float("inf"))
        again = torch.optim.Adam(network.parameters())
        again.load_state_dict(state["o"])
        assert torch.equal(again.state[network.weight]["exp_avg"], optimiser.state[network.weight]["exp_avg"])

    def test_damaged(self, tmp_path: Path) -> None:
        save_state(tmp_path / "state.pt", {"step": 3, "weights": torch.randn(100)})
        content = (tmp_path / "state.pt").read_bytes()
        (tmp_path / "state.pt").write_bytes(content[:-200])
        with pytest.raises(CheckpointError, match=r"state\.pt is damaged or truncated \([^.]*\); choose another --run"):
            load_state(tmp_path / "state.pt")

    def test_a_kill_while_writing_leaves_the_state_before(self, tmp_path: Path) -> None:
        save_state(tmp_path / "state.pt", {"step": 3})

        def killed(file: Any) -> None:
            file.write(b"half")
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            write_atomic(tmp_path / "state.pt", killed)
        assert load_state(tmp_path / "state.pt") == {"step": 3}


def test_the_card_says_all_that_is_needed() -> None:
    """A field more is fine; a field less or renamed makes shipped models unreadable."""
    names = {field.name for field in dataclasses.fields(checkpoint.ModelCard)}
    assert names >= {
        "kind", "dimensions", "crop", "colour", "mask", "references", "mel", "fps", "step", "data", "licence", "scores",
        "scale", "bias", "schedule", "calibrated",
    }  # fmt: skip
