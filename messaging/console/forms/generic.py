"""Django's forms of models, with the model between brackets: `ModelForm[User]`. Django's own take one only in stubs."""

from typing import TYPE_CHECKING

from django import forms

if TYPE_CHECKING:
    from django.forms import ModelChoiceField, ModelForm
else:

    class ModelForm(forms.ModelForm):
        def __class_getitem__(cls, model):
            return cls

    class ModelChoiceField(forms.ModelChoiceField):
        def __class_getitem__(cls, model):
            return cls


__all__ = ["ModelChoiceField", "ModelForm"]
