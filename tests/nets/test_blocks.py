"""How time and rows are laid out, on tensors a human can check."""

import torch

from w2l.nets.blocks import ConvBlock, UpBlock, audio_encoder, fold_time, lower_half, stack_frames, unfold_time

# Two clips of three frames of two channels; the number says (clip, frame, channel).
CLIPS = torch.tensor([[[111.0, 121, 131], [112, 122, 132]], [[211, 221, 231], [212, 222, 232]]])[..., None, None]


def test_fold_time_puts_all_clips_of_one_frame_together() -> None:
    assert fold_time(CLIPS)[:, 0, 0, 0].tolist() == [111, 211, 121, 221, 131, 231]


def test_unfold_time_undoes_fold_time() -> None:
    torch.testing.assert_close(unfold_time(fold_time(CLIPS), 3), CLIPS)


def test_stack_frames_is_frame_major() -> None:
    assert stack_frames(CLIPS)[1, :, 0, 0].tolist() == [211, 212, 221, 222, 231, 232]


def test_lower_half_of_pictures_and_of_clips() -> None:
    rows = torch.arange(6.0)[:, None].expand(6, 6)
    assert lower_half(rows.expand(2, 3, 6, 6))[0, 0, :, 0].tolist() == [3, 4, 5]
    assert lower_half(rows.expand(2, 3, 5, 6, 6)).shape == (2, 3, 5, 3, 6)


def test_a_residual_block_adds_its_input_before_the_relu() -> None:
    block = ConvBlock(1, 1, 1, ending="residual").eval()
    torch.nn.init.zeros_(block.conv_block[0].weight)
    torch.nn.init.zeros_(block.conv_block[0].bias)
    x = torch.tensor([-2.0, 3.0]).reshape(1, 1, 1, 2)
    assert block(x).flatten().tolist() == [0, 3]
    assert x.flatten().tolist() == [-2, 3], "the input is left alone"


def test_an_up_block_doubles_and_keeps_rows_from_the_bottom() -> None:
    whole = UpBlock(2, 3, 3, 2, 1).eval()
    cut = UpBlock(2, 3, 3, 2, 1, keep_rows=5).eval()
    cut.load_state_dict(whole.state_dict())
    x = torch.randn(1, 2, 4, 4)
    assert whole(x).shape == (1, 3, 8, 8)
    torch.testing.assert_close(cut(x), whole(x)[..., -5:, :])


def test_audio_encoder_gives_one_vector_a_window() -> None:
    assert audio_encoder(2, 1)(torch.rand(2, 1, 80, 16)).shape == (2, 32, 1, 1)
