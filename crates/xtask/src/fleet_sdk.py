"""Servers on ports of their own, made and deleted with OpenStack's SDK by so many hands: fleet_sdk.py SERVERS HANDS

Prints how many seconds both took, without its own start and its login. It is written as people write it: a thread for each server at a time, which makes the
port, then the server, and waits until that one is up.
"""
import concurrent.futures
import json
import sys
import time

import openstack

many, hands = int(sys.argv[1]), int(sys.argv[2])
cloud = openstack.connect()
cloud.authorize()
image, flavor = cloud.image.find_image("tiny"), cloud.compute.find_flavor("m1.tiny")


def make(number):
    port = cloud.network.create_port(name=f"p-{number}", network_id=network.id, security_groups=[group.id], tags=["fleet"])
    server = cloud.compute.create_server(name=f"n-{number}", image_id=image.id, flavor_id=flavor.id, networks=[{"port": port.id}])
    cloud.compute.wait_for_server(server, interval=1, wait=600)
    return port, server


def take_away(made):
    port, server = made
    cloud.compute.delete_server(server)
    cloud.compute.wait_for_delete(server, interval=1, wait=600)
    cloud.network.delete_port(port)


with concurrent.futures.ThreadPoolExecutor(hands) as pool:
    begin = time.monotonic()
    network = cloud.network.create_network(name="lan")
    subnet = cloud.network.create_subnet(network_id=network.id, ip_version=4, cidr="10.20.0.0/22")
    group = cloud.network.create_security_group(name="k8s")
    fleet = list(pool.map(make, range(many)))
    made = time.monotonic()
    list(pool.map(take_away, fleet))
    cloud.network.delete_security_group(group)
    cloud.network.delete_network(network)
    gone = time.monotonic()
print(json.dumps({"made": made - begin, "gone": gone - made}))
