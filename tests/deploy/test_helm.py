"""Where the chart's tests may be skipped: only on a machine that has neither helm nor Go."""

from pathlib import Path

import pytest

from . import helm

pytestmark = pytest.mark.requirement("PL-47")


@pytest.fixture
def empty(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine with nothing on its PATH but one folder, and no helm built before."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("CRM_HELM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(helm, "_GO", str(tmp_path / "nowhere"))
    return tmp_path


def test_without_helm_and_go_the_reason_is_told(empty: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "no Go" in str(helm.why_unavailable())
    assert helm.main() == 0
    assert "no Go" in capsys.readouterr().out


def test_with_go_a_helm_that_can_not_be_built_is_a_failure(empty: Path, capsys: pytest.CaptureFixture[str]) -> None:
    go = empty / "go"
    go.write_text("#!/bin/sh\necho the proxy says no >&2\nexit 1\n")
    go.chmod(0o755)
    assert helm.why_unavailable() is None
    assert helm.main() == 1
    assert "the proxy says no" in capsys.readouterr().err
