from django.urls import include, path

urlpatterns = [
    path("", include("messaging.console.urls")),
]
handler500 = "messaging.console.overload.server_error"
