import pytest

from crm_sales.product.rules import CategoryInvalid, category_path


@pytest.mark.parametrize(
    ("given", "kept"),
    [(None, None), ("Hardware", "Hardware"), (" Hardware / Servers ", "Hardware/Servers"), ("서버/GTX", "서버/GTX")],
)
def test_a_category_has_one_form(given: str | None, kept: str | None) -> None:
    assert category_path(given) == kept
    assert category_path(kept) == kept


@pytest.mark.parametrize("given", ["", "/", "A//B", "A/", "/A", "A/ /B"])
def test_a_category_has_no_empty_part(given: str) -> None:
    with pytest.raises(CategoryInvalid):
        category_path(given)
