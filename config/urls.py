from django.urls import include, path

urlpatterns = [
    path("", include("messaging.console.urls")),
]
