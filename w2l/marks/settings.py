"""How an output says that it was made: the mark, the visible label, the consent of the person shown."""

from dataclasses import dataclass
from typing import Literal, get_args

from w2l.core.config import check_word
from w2l.core.errors import ConfigError

Layers = Literal["full", "record", "off"]
Place = Literal["bottom-right", "bottom-left", "top-right", "top-left"]

LONGEST_LABEL = 60
"""Characters."""
LONGEST_CONSENT = 2000
"""Characters."""


@dataclass(frozen=True)
class Disclosure:
    """How an output says that it was made."""

    mark: Layers = "full"
    """`full`: record, tag in the file, imperceptible mark in the picture, and a signed manifest where c2pa-python is
    installed; `record`: record and tag alone, so that other pixels stay the source's; `off`: the record alone."""
    otherwise: bool = False
    """That the user discloses the output in another way, which `off` asks for."""
    label: str = ""
    """A text that is drawn into every picture, such as AI-dubbed."""
    label_place: Place = "bottom-right"
    """The corner of the label."""
    consent: str = ""
    """How the person shown agreed; kept in the record."""

    def __post_init__(self) -> None:
        """Refuse unknown words, texts that do not fit, and `off` without its reason."""
        check_word("mark", self.mark, get_args(Layers))
        check_word("label_place", self.label_place, get_args(Place))
        if self.mark == "off" and not self.otherwise:
            raise ConfigError(
                "--mark off leaves nothing in the file that says it was made; add --i-disclose-otherwise if you say so"
                " in another way, or use --mark record"
            )
        for name, text, longest in (("label", self.label, LONGEST_LABEL), ("consent", self.consent, LONGEST_CONSENT)):
            if len(text) > longest:
                raise ConfigError(f"--{name} must have at most {longest} characters (got {len(text)})")
        if not self.label.isprintable():
            raise ConfigError(f"--label must be one line of printable characters (got {self.label!r})")
