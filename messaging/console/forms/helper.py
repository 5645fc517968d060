"""How crispy-forms draws a form."""

from crispy_forms.helper import FormHelper


def fields_alone() -> FormHelper:
    """The fields without a form around them: the template has it, with its token and its buttons."""
    helper = FormHelper()
    helper.form_tag = False
    helper.disable_csrf = True
    return helper
