"""client.py keep-alive|new-connections|bulk HOST SECONDS: requests one after the other; prints how many a second."""
import http.client
import json
import os
import ssl
import sys
import time

how, host, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3])
context = ssl.create_default_context()
headers = {"x-api-key": os.environ["API_KEY"]}


def connect():
    return http.client.HTTPSConnection(host, timeout=20, context=context)


connection, count = connect(), -3  # the first three warm up
while True:
    if count == 0:
        start = time.perf_counter()
    if how == "new-connections":
        connection.close()
        connection = connect()
    connection.request("GET", "/v1/item", headers=headers)
    answer = connection.getresponse()
    answer.read()
    if answer.status != 200:
        sys.exit(f"status {answer.status}")
    count += 1
    if count > 0 and time.perf_counter() - start > seconds:
        break
print(json.dumps({"per_second": count / (time.perf_counter() - start)}))
