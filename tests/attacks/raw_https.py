"""Sends prepared bytes, one TLS connection each; copied into the workspace and run there.

usage: raw_https.py HOST FILE.json: a list of latin-1 strings. Prints a JSON list of what came back to each.
"""
import json
import socket
import ssl
import sys

host, name = sys.argv[1:]
context = ssl.create_default_context()
answers = []
with open(name) as file:
    requests = json.load(file)
for text in requests:
    answer = b""
    try:
        with socket.create_connection((host, 443), 10) as plain, \
                context.wrap_socket(plain, server_hostname=host) as stream:
            stream.settimeout(3)
            stream.sendall(text.encode("latin-1"))
            while part := stream.recv(65536):
                answer += part
                if b"\r\n\r\n" in answer:
                    break
    except OSError as error:
        answer = answer or f"error: {error}".encode()
    answers.append(answer.decode("latin-1"))
print(json.dumps(answers))
