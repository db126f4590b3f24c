"""Formats phone numbers for the CRM, and changes none into another."""

import re

import phonenumbers
from phonenumbers import CountryCodeSource, PhoneNumber

from connector.core.mapping_channels import PhoneFormat
from connector.core.phone_parsing import parse
from connector.core.phones import Dialled, split

_FORMATS = {
    PhoneFormat.E164: phonenumbers.PhoneNumberFormat.E164,
    PhoneFormat.INTERNATIONAL: phonenumbers.PhoneNumberFormat.INTERNATIONAL,
}
_NORTH_AMERICAN_PREFIX = "1"  # the only national prefix that a complete number may omit
# Reserved for fiction by Ofcom (ofcom.org.uk, numbers for drama use): unassigned, and unknown to the library.
_FICTIONAL = re.compile(r"447700900\d{3}")


def format_phone(number: str, form: PhoneFormat, region: str | None) -> str:
    """Format a number, followed by its extension; a number that cannot be parsed is returned as given.

    Also returned as given are numbers that formatting would change into others: a number with letters, which the
    library would turn into digits; a local number, whose area code it would omit; a number without `+` that is not
    certainly one of the region; and a number that loses digits in the format.
    """
    dialled = split(number)
    if form is PhoneFormat.AS_GIVEN or dialled is None:
        return number
    parsed = parse(dialled.number, region)
    if parsed is None:
        return number
    if phonenumbers.is_possible_number_with_reason(parsed) != phonenumbers.ValidationResult.IS_POSSIBLE:
        return number
    names_country = parsed.country_code_source == CountryCodeSource.FROM_NUMBER_WITH_PLUS_SIGN
    if not names_country and (region is None or not _is_of(parsed, region)):
        return number
    formatted = phonenumbers.format_number(parsed, _FORMATS[form])
    if not _reads_the_same(formatted, parsed):
        return number
    return str(Dialled(formatted, dialled.extension))


def _reads_the_same(formatted: str, parsed: PhoneNumber) -> bool:
    """Whether the formatted text parses to the same number: the library drops a leading zero at each parse."""
    again = parse(formatted)
    national = phonenumbers.national_significant_number
    return again is not None and (again.country_code, national(again)) == (parsed.country_code, national(parsed))


def _is_of(parsed: PhoneNumber, region: str) -> bool:
    """Whether a number without `+` is certainly the one that these digits dial in the region.

    The number exists there, or abroad after the region's international prefix, and all its digits are in the text. That
    includes a national prefix: without it, the digits may be a local number or another country's.
    """
    national = phonenumbers.national_significant_number(parsed)
    whole = f"{parsed.country_code}{national}"
    if not phonenumbers.is_valid_number(parsed) and not _FICTIONAL.fullmatch(whole):
        return False
    digits = re.sub(r"\D", "", parsed.raw_input or "")
    if parsed.country_code_source == CountryCodeSource.FROM_NUMBER_WITH_IDD:
        return digits.endswith(whole)
    prefix = phonenumbers.ndd_prefix_for_region(region, True) or ""
    forms = {prefix + national, national} if prefix == _NORTH_AMERICAN_PREFIX else {prefix + national}
    return digits in forms
