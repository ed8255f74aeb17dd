"""The bed as an API sees it: calls, service users, the catalog, what is there to build upon, projects."""
import json
import secrets
import urllib.error
import urllib.request

from services import APIS

SERVICES = {
    "glance": ("image", ""),
    "placement": ("placement", ""),
    "nova": ("compute", "/v2.1"),
    "neutron": ("network", ""),
    "cinder": ("block-storage", "/v3"),
    "octavia": ("load-balancer", ""),
}
# What a user who is no administrator may do.
ROLES = ["member", "load-balancer_member"]


class Refused(Exception):
    """An answer that is none of success."""

    def __init__(self, status, text):
        super().__init__(text)
        self.status = status


class Api:
    """Calls as the administrator."""

    def __init__(self, services):
        self.services, self.token, self.project = services, None, None

    def call(self, service, method, path, body=None, headers=None, data=None):
        headers = {"Content-Type": "application/json"} | (headers or {})
        if self.token:
            headers["X-Auth-Token"] = self.token
        data = json.dumps(body).encode() if body is not None else data
        request = urllib.request.Request(self.services.url(service) + path, data=data, headers=headers, method=method)
        # No proxy stands before a loopback address.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=60) as answer:
                text = answer.read()
                return answer, json.loads(text) if text.strip().startswith(b"{") else {}
        except urllib.error.HTTPError as error:
            text = error.read().decode(errors="replace")[:500]
            raise Refused(error.code, f"{service}: {method} {path}: {error.code} {text}") from None

    def get(self, service, path):
        return self.call(service, "GET", path)[1]

    def make(self, service, path, kind, **fields):
        """The object of this name, made where there is none."""
        name = fields["name"]
        found = [o for o in self.get(service, f"{path}?name={name}").get(path.rsplit("/", 1)[1].replace("-", "_"), []) if o["name"] == name]
        return found[0] if found else self.call(service, "POST", path, {kind: fields})[1][kind]

    def log_in(self):
        user = {"name": "admin", "domain": {"id": "default"}, "password": self.services.password}
        scope = {"project": {"name": "admin", "domain": {"id": "default"}}}
        body = {"auth": {"identity": {"methods": ["password"], "password": {"user": user}}, "scope": scope}}
        answer, token = self.call("keystone", "POST", "/v3/auth/tokens", body)
        self.token, self.project = answer.headers["X-Subject-Token"], token["token"]["project"]["id"]
        self.user = token["token"]["user"]["id"]

    def role(self, name):
        return self.make("keystone", "/v3/roles", "role", name=name)["id"]

    def grant(self, project, user, role):
        self.call("keystone", "PUT", f"/v3/projects/{project}/users/{user}/roles/{role}")

    def register(self):
        """Service users and the catalog."""
        roles = [self.role(name) for name in ("admin", "service")]
        for name in [*ROLES, "load-balancer_admin"]:
            self.grant(self.project, self.user, self.role(name))
        project = self.make("keystone", "/v3/projects", "project", name="service", domain_id="default")["id"]
        for name, (kind, path) in SERVICES.items():
            user = self.make("keystone", "/v3/users", "user", name=name, password=self.services.password, domain_id="default")
            for role in roles:
                self.grant(project, user["id"], role)
            service = self.make("keystone", "/v3/services", "service", name=name, type=kind)["id"]
            for interface in ("public", "internal", "admin"):
                endpoint = {"service_id": service, "interface": interface, "url": self.services.url(name) + path, "region_id": "RegionOne"}
                self.call("keystone", "POST", "/v3/endpoints", {"endpoint": endpoint})

    def furnish(self):
        """An image, flavors and an external network. Each service answers something here: a start is good when it did."""
        self.image("tiny")
        for name, ram, vcpus, disk in (("m1.tiny", 512, 1, 1), ("m1.small", 2048, 2, 20)):
            if name not in [f["name"] for f in self.get("nova", "/v2.1/flavors")["flavors"]]:
                self.call("nova", "POST", "/v2.1/flavors", {"flavor": {"name": name, "ram": ram, "vcpus": vcpus, "disk": disk}})
        flat = {"provider:network_type": "flat", "provider:physical_network": "public"}
        network = self.make("neutron", "/v2.0/networks", "network", name="public", **{"router:external": True}, **flat)
        subnet = {"network_id": network["id"], "cidr": "203.0.113.0/24", "ip_version": 4, "enable_dhcp": False}
        self.make("neutron", "/v2.0/subnets", "subnet", name="public", **subnet)
        self.get("octavia", "/v2/lbaas/loadbalancers")
        types = f"/v3/{self.project}/types"
        if "standard" not in [t["name"] for t in self.get("cinder", types)["volume_types"]]:
            self.call("cinder", "POST", types, {"volume_type": {"name": "standard"}})

    def image(self, name):
        """A public image of nothing."""
        found = self.get("glance", f"/v2/images?name={name}")["images"]
        if found:
            return
        body = {"name": name, "disk_format": "raw", "container_format": "bare", "visibility": "public"}
        image = self.call("glance", "POST", "/v2/images", body)[1]["id"]
        headers = {"Content-Type": "application/octet-stream"}
        self.call("glance", "PUT", f"/v2/images/{image}/file", headers=headers, data=b"\0" * 1024)

    def tenant(self, name):
        """A new project and its only user, who is no administrator."""
        self.log_in()
        password = secrets.token_hex(16)
        project = self.call("keystone", "POST", "/v3/projects", {"project": {"name": name, "domain_id": "default"}})[1]["project"]["id"]
        user = {"name": name, "password": password, "domain_id": "default", "default_project_id": project}
        user = self.call("keystone", "POST", "/v3/users", {"user": user})[1]["user"]["id"]
        for role in ROLES:
            self.grant(project, user, self.role(role))
        return {"project": name, "project_id": project, "user": name, "password": password}

    def wrong(self):
        """What is wrong with the services, if anything."""
        for name in APIS:
            try:
                self.get(name, "/v3" if name == "keystone" else "/")
            except Refused as error:
                # Several versions to choose from, and a token that is missing, are answers too.
                if error.status not in (300, 401):
                    return str(error)
            except OSError as error:
                return f"{name} does not answer: {error}"
        return None
