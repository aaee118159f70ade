"""evil-collector.com: takes whatever it is sent. The lab remembers every request anyway."""


def collector(request):
    request.text("thank you\n")
