"""The currencies that money can be in, and how many digits each has after the decimal point.

Source: ISO 4217 list one ("current currency and funds codes"), published by SIX Financial Information AG for ISO, in the
state of the public mirror `datasets/currency-codes`, revision ab9b0ae of 2026-02-01. Left out are the codes whose minor
unit the list gives as "N.A.": metals, bond-market units, special drawing rights, XTS and XXX. No price is in them.

The table is ours, and not a library's, because stored amounts are counts of minor units: a library that one day gives a
currency other digits would silently multiply or divide every amount ever stored in it. CLDR (and so Babel), for one,
gives the digits that people *print* (IQD 0, AFN 0), not those of ISO 4217 (IQD 3, AFN 2).

So: new currencies are added; one that is here is never removed and its digits are never changed, not even when ISO
withdraws it, because old contracts stay in it. `tests/released_currencies.txt` holds us to that.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

_BY_DIGITS: Final[dict[int, str]] = {
    0: """
        BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF
    """,
    2: """
        AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BOV BRL BSD BTN BWP
        BYN BZD CAD CDF CHE CHF CHW CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB
        EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD KES
        KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR
        MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD
        RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP
        TRY TTD TWD TZS UAH USD USN UYU UZS VED VES WST XAD XCD XCG YER ZAR ZMW ZWG
    """,
    3: """
        BHD IQD JOD KWD LYD OMR TND
    """,
    4: """
        CLF UYW
    """,
}

MINOR_DIGITS: Final[Mapping[str, int]] = MappingProxyType(
    {code: digits for digits, codes in _BY_DIGITS.items() for code in codes.split()}
)
"""ISO 4217 code → digits after the decimal point: USD 2, KRW 0, KWD 3, CLF 4. Read-only."""
