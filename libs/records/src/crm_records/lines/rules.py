"""Lines of an opportunity or contract (SA-5): which are new, at what price, and what they come to. Pure."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from crm_kernel.errors import FieldError, Invalid
from crm_kernel.money import Money, MoneyError


class LinesInvalid(Invalid):
    """422: lines that can't stand; `errors` says which and why.

    Codes of the errors: `line.unknown`, `line.product_unknown`, `line.product_off_sale`, `line.price_missing`, `line.currency_mixed`,
    `money.out_of_range`.
    """

    code = "lines.invalid"
    title = "The lines are not valid"


@dataclass(frozen=True)
class Offer:
    """What lines need to know of a product. list_price: None when it has none."""

    id: uuid.UUID
    name: str
    on_sale: bool
    list_price: Money | None


@dataclass(frozen=True)
class Line:
    """One product at its price.

    list_price: the product's when the line was made; it stays. unit_price: what is asked per unit before the discount.
    discount, tax: percent, 0 … 100.
    """

    id: uuid.UUID
    product_id: uuid.UUID
    quantity: Decimal
    list_price: Money
    unit_price: Money
    discount: Decimal = Decimal(0)
    tax: Decimal = Decimal(0)

    @property
    def net(self) -> Money:
        """Quantity × unit price less the discount, rounded once, half to even."""
        return self.unit_price.times(self.quantity * (100 - self.discount) / 100)

    @property
    def tax_amount(self) -> Money:
        """The tax on the net amount, rounded once, half to even."""
        return self.net.times(self.tax / 100)

    @property
    def total(self) -> Money:
        """Net plus tax, exactly."""
        return self.net + self.tax_amount


@dataclass(frozen=True)
class LineGiven:
    """A line as somebody asks for it. id: of the present line that it is. unit_price: None: the list price."""

    product_id: uuid.UUID
    quantity: Decimal
    id: uuid.UUID | None = None
    unit_price: Money | None = None
    discount: Decimal = Decimal(0)
    tax: Decimal = Decimal(0)


@dataclass(frozen=True)
class Totals:
    """What lines come to together."""

    net: Money
    tax: Money
    total: Money


def totals_of(lines: Sequence[Line]) -> Totals:
    """The sums of the lines' amounts. There must be a line; all are in one currency."""
    currency = lines[0].unit_price.currency
    return Totals(
        net=Money.total([line.net for line in lines], currency),
        tax=Money.total([line.tax_amount for line in lines], currency),
        total=Money.total([line.total for line in lines], currency),
    )


def settle_lines(
    given: Sequence[LineGiven],
    present: Sequence[Line],
    offers: Mapping[uuid.UUID, Offer],
    fresh: Sequence[uuid.UUID],
) -> tuple[Line, ...]:
    """The lines that there are from now on: all that are given, in their order.

    offers: of the products that new lines name, as far as there are such products. A line that names its id is that present line. One
    without is the next present line of the same product, so that the same input twice changes nothing; else it is new, with an id of
    `fresh` (one per line given) and today's list price, and its product must be on sale. Present lines keep their list price.
    Raises LinesInvalid.
    """
    matches = _match(given, present)
    errors: list[FieldError] = []
    lines: list[Line] = []
    for index, (one, match, new) in enumerate(zip(given, matches, fresh, strict=True)):
        place = f"/lines/{index}"
        if one.id is not None and match is None:
            errors.append(FieldError(f"{place}/id", "line.unknown", "There is no such line, or it stands twice"))
            continue
        if match is not None and match.product_id != one.product_id:
            errors.append(FieldError(f"{place}/product_id", "line.unknown", "The line is of another product"))
            continue
        offer = offers.get(one.product_id)
        error = None if match is not None else _why_not_sold(offer, place)
        list_price = match.list_price if match is not None else offer.list_price if offer is not None else None
        if error is not None or list_price is None:
            errors.append(error or _no_price(place))
            continue
        unit_price = list_price if one.unit_price is None else one.unit_price
        if lines and unit_price.currency != lines[0].unit_price.currency:
            detail = f"The lines before are in {lines[0].unit_price.currency}"
            errors.append(FieldError(f"{place}/unit_price", "line.currency_mixed", detail))
            continue
        line_id = new if match is None else match.id
        line = Line(line_id, one.product_id, one.quantity, list_price, unit_price, one.discount, one.tax)
        try:
            _ = line.total
        except MoneyError as refusal:
            errors.append(FieldError(place, refusal.code, refusal.detail))
            continue
        lines.append(line)
    if not errors and lines:
        try:
            totals_of(lines)
        except MoneyError as refusal:
            errors.append(FieldError("/lines", refusal.code, refusal.detail))
    if errors:
        raise LinesInvalid(errors=errors)
    return tuple(lines)


def _match(given: Sequence[LineGiven], present: Sequence[Line]) -> list[Line | None]:
    """The present line that each given one is; those that name one choose first."""
    free = {line.id: line for line in present}
    matches: list[Line | None] = [None] * len(given)
    for index, one in enumerate(given):
        if one.id is not None:
            matches[index] = free.pop(one.id, None)
    for index, one in enumerate(given):
        if one.id is None:
            line = next((line for line in free.values() if line.product_id == one.product_id), None)
            if line is not None:
                matches[index] = free.pop(line.id)
    return matches


def _why_not_sold(offer: Offer | None, place: str) -> FieldError | None:
    if offer is None:
        return FieldError(f"{place}/product_id", "line.product_unknown", "There is no such product")
    if not offer.on_sale:
        return FieldError(f"{place}/product_id", "line.product_off_sale", f"{offer.name} is not on sale")
    return _no_price(place) if offer.list_price is None else None


def _no_price(place: str) -> FieldError:
    return FieldError(f"{place}/product_id", "line.price_missing", "The product has no list price; give it one first")
