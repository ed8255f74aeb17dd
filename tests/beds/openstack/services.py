"""What the bed runs, and how: configuration, commands and environments."""
import base64
import os
import pathlib
import secrets
import shutil
import string
import subprocess

HERE = pathlib.Path(__file__).parent

# The ports of Keystone, Glance, Nova, Neutron, Placement, Octavia, Cinder.
APIS = {"keystone": 5000, "glance": 9292, "nova": 8774, "neutron": 9696, "placement": 8778, "octavia": 9876, "cinder": 8776}
DATABASE, BROKER = 3306, 5672
# A bed takes its address by listening here.
CLAIM = 4999

DATABASES = "keystone glance placement nova_api nova_cell0 nova_cell1 neutron cinder octavia".split()

CONFIGS = {
    "keystone": ["keystone.conf"],
    "glance": ["glance-api.conf"],
    "placement": ["placement.conf"],
    "nova": ["nova.conf"],
    "neutron": ["neutron.conf", "ml2_conf.ini"],
    "cinder": ["cinder.conf"],
    "octavia": ["octavia.conf"],
}
# What comes with the packages.
SHIPPED = ["glance/glance-api-paste.ini", "nova/api-paste.ini", "neutron/api-paste.ini", "cinder/api-paste.ini", "cinder/resource_filters.json"]
STATE = "fernet-keys credential-keys glance/images glance/staging glance/tasks nova neutron cinder octavia lock tmp home rabbit".split()


class Services:
    """The services of one bed: where they live, at which address, and with which password."""

    def __init__(self, venv, folder, address):
        self.venv, self.folder, self.ip = pathlib.Path(venv), pathlib.Path(folder), address
        self.state, self.etc, self.log = (self.folder / name for name in ("state", "etc", "log"))
        self.password = secrets.token_hex(16)
        self.environment = {
            "PATH": f"{self.venv}/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": str(self.state / "home"),
            "TMPDIR": str(self.state / "tmp"),
            "LANG": "C.UTF-8",
            "NO_PROXY": "127.0.0.0/8,localhost",
            "no_proxy": "127.0.0.0/8,localhost",
            # setproctitle must not look for the environment behind the arguments.
            "SPT_NOENV": "1",
        }

    def url(self, name):
        return f"http://{self.ip}:{APIS[name]}"

    def database(self, name):
        return f"mysql+pymysql://os:{self.password}@{self.ip}:{DATABASE}/{name}?charset=utf8"

    @property
    def rabbit(self):
        return f"rabbit://os:{self.password}@{self.ip}:{BROKER}/"

    def write(self):
        """Writes all configuration, and the keys that only live as long as this bed."""
        for name in STATE:
            (self.state / name).mkdir(parents=True, exist_ok=True)
        self.log.mkdir(exist_ok=True)
        values = {"ip": self.ip, "password": self.password, "rabbit": self.rabbit, "octavia_network": "network_noop_driver"}
        values |= {"state": self.state, "etc": self.etc, "log": self.log}
        for name in DATABASES:
            values[f"database_{name}"] = f"connection = {self.database(name)}\nmax_pool_size = 10\nmax_overflow = 50"
        for name in APIS:
            values[f"credentials_{name}"] = self.credentials(name) + "region_name = RegionOne"
            values[f"authtoken_{name}"] = (
                f"[keystone_authtoken]\nwww_authenticate_uri = {self.url('keystone')}/v3\n{self.credentials(name)}"
                "service_token_roles = service\nservice_token_roles_required = true\nmemcache_security_strategy = None"
            )
        for service, names in CONFIGS.items():
            (self.etc / service).mkdir(parents=True, exist_ok=True)
            for name in names:
                self.fill(name, self.etc / service / name, values)
        # The API makes ports of virtual addresses in Neutron; the worker makes nothing anywhere.
        values["octavia_network"] = "allowed_address_pairs_driver"
        self.fill("octavia.conf", self.etc / "octavia/octavia-api.conf", values)
        self.fill("rabbitmq.conf", self.etc / "rabbitmq.conf", values)
        private(self.etc / "rabbitmq_plugins", "[].\n")
        private(self.etc / "rabbitmq-env.conf", "")
        for name in SHIPPED:
            shutil.copy(self.venv / "etc" / name, self.etc / name)
        for folder in ("fernet-keys", "credential-keys"):
            for name in "01":
                private(self.state / folder / name, base64.urlsafe_b64encode(secrets.token_bytes(32)).decode())
        ca = [f"{self.state}/octavia/ca.{part}" for part in ("key", "pem")]
        words = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -days 30 -subj /CN=octavia -passout env:PASS -keyout"
        subprocess.run(["openssl", *words.split(), ca[0], "-out", ca[1]], check=True, capture_output=True, env={"PASS": self.password})

    def fill(self, template, target, values):
        private(target, string.Template((HERE / "etc" / template).read_text()).substitute(values))

    def credentials(self, name):
        return (
            f"auth_url = {self.url('keystone')}/v3\nauth_type = password\nusername = {name}\npassword = {self.password}\n"
            "project_name = service\nuser_domain_id = default\nproject_domain_id = default\n"
        )

    def mariadb(self):
        """What it holds is worth nothing after a crash: nothing is flushed."""
        options = f"""--no-defaults --user=root --datadir={self.state}/mysql --socket=mysql.sock --pid-file={self.state}/mysqld.pid
            --bind-address={self.ip} --port={DATABASE} --skip-name-resolve --max-connections=600 --character-set-server=utf8mb3
            --innodb-flush-log-at-trx-commit=0 --innodb-flush-method=nosync --skip-log-bin --innodb-doublewrite=0
            --innodb-buffer-pool-size=256M --innodb-log-file-size=64M --performance-schema=OFF"""
        return ["mariadbd", *options.split()], {}

    def rabbitmq(self):
        # Erlang listens, or looks for others, on 127.0.0.1 whatever it is told: each bed has ports and a name of its own.
        octets = [int(octet) for octet in self.ip.split(".")]
        number = octets[2] * 256 + octets[3]
        settings = {
            "RABBITMQ_NODENAME": f"bed{number}@localhost",
            "RABBITMQ_MNESIA_BASE": f"{self.state}/rabbit",
            "RABBITMQ_LOG_BASE": f"{self.log}/rabbit",
            "RABBITMQ_CONFIG_FILE": f"{self.etc}/rabbitmq",
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{self.etc}/rabbitmq_plugins",
            "RABBITMQ_CONF_ENV_FILE": f"{self.etc}/rabbitmq-env.conf",
            "RABBITMQ_PID_FILE": f"{self.state}/rabbitmq.pid",
            "RABBITMQ_DIST_PORT": str(24000 + number % 8000),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS":
                f"-kernel inet_dist_use_interface {{{','.join(self.ip.split('.'))}}} +sbwt none +sbwtdcpu none +sbwtdio none",
            "ERL_EPMD_ADDRESS": self.ip,
            "ERL_EPMD_PORT": str(14000 + number % 8000),
        }
        return ["/usr/lib/rabbitmq/bin/rabbitmq-server"], settings

    def api(self, name):
        def wsgi(application, program, *configs, **settings):
            command = [str(self.venv / "bin/python"), str(HERE / "wsgi.py"), application, self.ip, str(APIS[name]), program]
            return command + [str(self.etc / name / config) for config in configs], settings

        where = {f"OS_{name.upper()}_CONFIG_DIR": str(self.etc / name)}
        match name:
            case "nova":
                return wsgi("nova.wsgi.osapi_compute:application", "nova-api", **where)
            case "neutron":
                return wsgi("neutron.wsgi.api:application", "neutron-api", **where, OS_NEUTRON_CONFIG_FILES="neutron.conf;ml2_conf.ini")
            case "octavia":
                return wsgi("octavia.wsgi.api:application", "octavia-api", "octavia-api.conf")
            case "cinder":
                return wsgi("cinder.wsgi.api:application", "cinder-api", "cinder.conf")
            case _:
                return wsgi(f"{name}.wsgi.api:application", name, **where)

    def worker(self, name):
        service = name.split("-")[0]
        config = self.etc / service / f"{service}.conf"
        return [name, "--config-file", str(config), "--log-file", str(self.log / f"{name}.log")], {}

    def manage(self, name, *words):
        """The command that prepares a service."""
        service = name.split("-")[0]
        configs = [word for file in CONFIGS[service] for word in ("--config-file", str(self.etc / service / file))]
        return [name, *configs, *words]


WORKERS = ["nova-conductor", "nova-scheduler", "nova-compute", "octavia-worker", "cinder-scheduler", "cinder-volume"]


def private(path, text):
    """A file that only its owner reads."""
    path.unlink(missing_ok=True)
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
