"""The first process of a bed: starts OpenStack's services, watches them, and ends with them.

    bed.py golden --venv V --folder F --address A    the first start, from nothing: leaves F/state
    bed.py serve  --venv V --folder F --golden G --hold L
                                                     starts from that state, and serves until nobody uses it any more

It holds V, F and G by the lock L, as its users do: a bed that waits for the next one is in use, too. It runs as process 1 of a process namespace: when it dies, however it dies, the kernel ends all that it has started.

Whoever uses the bed holds a connection to F/control. The bed answers `ready ADDRESS` or `failed WHY` once it knows, and ends a while after the last
connection has gone. Commands, each a line: `keep` (stay, whoever uses it), `leave` (end with the last connection), `stop` (end at once),
`tenant NAME` (a new project and its user; the answer is JSON).
"""
import argparse
import concurrent.futures
import fcntl
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time

import bcrypt

from identity import Api, Refused
from services import APIS, BROKER, CLAIM, DATABASE, DATABASES, WORKERS, Services, private

# Seconds: how long the first start and another may take, ten times of what they take on an idle machine; how long a bed that nobody uses stays.
FIRST, LIMIT, LINGER = 1200, 400, 60


class Failed(Exception):
    pass


class Bed:
    def __init__(self, services, limit):
        self.services, self.processes = services, {}
        self.limit, self.began = limit, time.monotonic()
        self.deadline = self.began + limit
        self.stopping = threading.Event()

    def say(self, what):
        print(f"{time.monotonic() - self.began:7.1f} s  {what}", flush=True)

    def start(self, name, command, environment):
        log = open(self.services.log / f"{name}.out", "ab")
        self.processes[name] = subprocess.Popen(
            command,
            env=self.services.environment | environment,
            cwd=self.services.folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )

    def dead(self):
        """A service that has ended by itself, and how its log ends."""
        for name, process in self.processes.items():
            if process.poll() is not None:
                return f"{name} ended by itself ({process.returncode}){self.end_of_log(name)}"
        return None

    def end_of_log(self, name):
        text = ""
        for suffix in (".out", ".log"):
            log = self.services.log / (name + suffix)
            if log.exists() and (lines := log.read_text(errors="replace").splitlines()):
                text += f"\n{log} ends:\n" + "\n".join(lines[-15:])
        return text

    def wait(self, what, condition, every=0.05):
        """Until it is true; fails at the deadline, or when a service dies."""
        while not condition():
            if self.stopping.is_set():
                raise Failed("stopped")
            if dead := self.dead():
                raise Failed(dead)
            if time.monotonic() > self.deadline:
                raise Failed(f"no {what} after {self.limit} s{self.end_of_log(what)}")
            time.sleep(every)

    def run(self, command):
        """A command of the first start."""
        begin = time.monotonic()
        left = max(1, self.deadline - time.monotonic())
        words = " ".join(command).replace(self.services.password, "…")
        try:
            ran = subprocess.run(command, env=self.services.environment, cwd=self.services.folder, capture_output=True, timeout=left)
        except subprocess.TimeoutExpired:
            raise Failed(f"{words}: not done {self.limit} s after the start") from None
        if ran.returncode:
            raise Failed(f"{words}: {(ran.stdout + ran.stderr).decode(errors='replace')[-2000:].replace(self.services.password, '…')}")
        self.say(f"{words}, {time.monotonic() - begin:.1f} s")

    def sql(self, text):
        # By its name in the working folder: the address of a socket is short.
        command = ["mariadb", "--no-defaults", "-uroot", "--socket=mysql.sock", "-N"]
        ran = subprocess.run(command, input=text, capture_output=True, text=True, timeout=60, cwd=self.services.state / "mysql")
        if ran.returncode:
            raise Failed(f"mariadb: {ran.stderr}")
        return ran.stdout.strip()

    def listens(self, port):
        with socket.socket() as probe:
            probe.settimeout(5)
            return probe.connect_ex((self.services.ip, port)) == 0

    def infrastructure(self):
        """The database and the broker."""
        self.start("mariadb", *self.services.mariadb())
        self.start("rabbitmq", *self.services.rabbitmq())
        self.wait("mariadb", lambda: self.listens(DATABASE))

    def keystone(self):
        self.start("keystone", *self.services.api("keystone"))
        self.wait("keystone", lambda: self.listens(APIS["keystone"]))
        self.api = Api(self.services)
        self.api.log_in()

    def rest(self):
        self.wait("rabbitmq", lambda: self.listens(BROKER))
        for name in APIS:
            if name != "keystone":
                self.start(name, *self.services.api(name))
        for name in WORKERS:
            self.start(name, *self.services.worker(name))
        for name, port in APIS.items():
            self.wait(name, lambda port=port: self.listens(port))

    def now(self):
        return self.sql("SELECT UTC_TIMESTAMP()")

    def workers(self, since):
        """Until Nova's and Cinder's workers have reported after that time."""
        tables = " UNION ALL ".join(f"SELECT `binary`, updated_at, created_at FROM {table}.services" for table in ("nova_cell1", "cinder"))
        query = f"SELECT DISTINCT `binary` FROM ({tables}) s WHERE COALESCE(updated_at, created_at) >= '{since}'"
        wanted = {name for name in WORKERS if not name.startswith("octavia")}

        def missing():
            return wanted - set(self.sql(query).split())

        self.wait("workers' reports", lambda: not missing(), every=0.5)
        self.wait("host of Nova", lambda: self.sql("SELECT COUNT(*) FROM nova_cell1.compute_nodes") != "0", every=0.5)

    def make_golden(self):
        """The first start: schemas, identities, the one host; then a clean end of the database."""
        services = self.services
        services.write()
        data = services.state / "mysql"
        self.run(["mariadb-install-db", "--no-defaults", "--user=root", "--auth-root-authentication-method=socket", "--skip-test-db", f"--datadir={data}"])
        self.infrastructure()
        self.sql("".join(f"CREATE DATABASE {name} CHARACTER SET utf8mb3;" for name in DATABASES))
        self.sql(f"CREATE USER os@'%' IDENTIFIED BY '{services.password}'; GRANT ALL ON *.* TO os@'%'")
        self.wait("rabbitmq", lambda: self.listens(BROKER))
        manage = services.manage
        bootstrap = ["bootstrap", "--bootstrap-username", "admin", "--bootstrap-password", services.password, "--bootstrap-project-name", "admin"]
        bootstrap += ["--bootstrap-role-name", "admin", "--bootstrap-service-name", "keystone", "--bootstrap-region-id", "RegionOne"]
        for interface in ("admin", "internal", "public"):
            bootstrap += [f"--bootstrap-{interface}-url", f"{services.url('keystone')}/v3"]
        chains = [
            [
                manage("keystone-manage", "db_sync"),
                manage("keystone-manage", *bootstrap),
                manage("glance-manage", "db_sync"),
                manage("octavia-db-manage", "upgrade", "head"),
            ],
            [
                manage("nova-manage", "api_db", "sync"),
                manage("nova-manage", "cell_v2", "map_cell0", "--database_connection", services.database("nova_cell0")),
                manage("nova-manage", "db", "sync"),
                manage("nova-manage", "cell_v2", "create_cell", "--name", "cell1"),
            ],
            [
                manage("neutron-db-manage", "upgrade", "heads"),
                manage("placement-manage", "db", "sync"),
                manage("cinder-manage", "db", "sync"),
            ],
        ]
        with concurrent.futures.ThreadPoolExecutor(len(chains)) as pool:
            list(pool.map(lambda chain: [self.run(command) for command in chain], chains))
        self.keystone()
        self.api.register()
        since = self.now()
        self.rest()
        self.workers(since)
        self.run(manage("nova-manage", "cell_v2", "discover_hosts"))
        database = self.processes.pop("mariadb")
        for process in self.processes.values():
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        database.terminate()
        if database.wait(60):
            raise Failed(f"mariadb did not end well{self.end_of_log('mariadb')}")
        for path in services.state.iterdir():
            if path.name not in ("mysql", "nova"):
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        self.say("golden")

    def revive(self):
        """What the golden state says of its address and its password becomes this bed's."""
        services = self.services
        hashed = bcrypt.hashpw(services.password.encode(), bcrypt.gensalt(4)).decode()
        cells = "".join(
            f"UPDATE nova_api.cell_mappings SET database_connection = '{services.database('nova_' + cell)}' WHERE name = '{cell}';" for cell in ("cell0", "cell1")
        )
        self.sql(
            f"ALTER USER os@'%' IDENTIFIED BY '{services.password}';"
            f"UPDATE keystone.password SET password_hash = '{hashed}';"
            f"UPDATE keystone.endpoint SET url = REGEXP_REPLACE(url, '//[0-9.]+:', '//{services.ip}:');"
            f"UPDATE nova_api.cell_mappings SET transport_url = '{services.rabbit}' WHERE name = 'cell1';" + cells
        )

    def boot(self, golden):
        shutil.copytree(golden, self.services.state)
        self.services.write()
        self.infrastructure()
        self.revive()
        self.say("database")
        since = self.now()
        self.keystone()
        self.rest()
        self.say("services")
        self.workers(since)
        self.api.furnish()
        self.credentials()
        self.say("ready")

    def credentials(self):
        """How a person's client finds the bed: clouds.yaml, and a file for a shell."""
        auth = {"auth_url": f"{self.services.url('keystone')}/v3", "username": "admin", "password": self.services.password, "project_name": "admin"}
        auth |= {"user_domain_id": "default", "project_domain_id": "default"}
        clouds = {"clouds": {"bed": {"region_name": "RegionOne", "identity_api_version": 3, "auth": auth}}}
        # YAML has JSON in it.
        private(self.services.folder / "clouds.yaml", json.dumps(clouds, indent=2) + "\n")
        variables = {f"OS_{name.upper()}": value for name, value in auth.items()} | {"OS_REGION_NAME": "RegionOne", "OS_IDENTITY_API_VERSION": "3"}
        variables |= {"NO_PROXY": "127.0.0.0/8,localhost", "no_proxy": "127.0.0.0/8,localhost"}
        lines = [f"export {name}='{value}'\n" for name, value in variables.items()]
        private(self.services.folder / "openrc", "".join(lines) + f'PATH="{self.services.venv}/bin:$PATH"\n')


class Control:
    """Who uses the bed, and what they ask."""

    def __init__(self, bed, path):
        self.bed, self.verdict, self.known = bed, None, threading.Event()
        self.users, self.kept, self.linger, self.since = 0, False, LINGER, time.monotonic()
        self.lock = threading.Lock()
        self.socket = socket.socket(socket.AF_UNIX)
        path.unlink(missing_ok=True)
        # As the database's.
        os.chdir(path.parent)
        self.socket.bind(path.name)
        os.chmod(path.name, 0o600)
        self.socket.listen(128)
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            connection, _ = self.socket.accept()
            with self.lock:
                self.users += 1
            threading.Thread(target=self.serve, args=(connection,), daemon=True).start()

    def serve(self, connection):
        try:
            with connection, connection.makefile("rw") as lines:
                self.known.wait()
                wrong = self.verdict or self.bed.dead() or self.bed.api.wrong()
                print(f"failed {json.dumps(wrong)}" if wrong else f"ready {self.bed.services.ip}", file=lines, flush=True)
                if wrong:
                    self.bed.stopping.set()
                for line in lines:
                    if answer := self.obey(line.split()):
                        print(answer, file=lines, flush=True)
                    if self.bed.stopping.is_set():
                        # The connection's end tells that all has ended.
                        threading.Event().wait()
        except OSError:
            pass
        finally:
            with self.lock:
                self.users -= 1
                self.since = time.monotonic()

    def obey(self, words):
        match words:
            case ["keep"]:
                self.kept = True
            case ["leave"]:
                self.linger = 0
            case ["stop"]:
                self.bed.stopping.set()
            case ["tenant", name]:
                try:
                    return json.dumps(self.bed.api.tenant(name))
                except (OSError, Refused) as error:
                    return json.dumps({"error": str(error)})
        return None

    def unused(self):
        with self.lock:
            return not self.kept and self.users == 0 and time.monotonic() - self.since > self.linger


def claim(wanted):
    """An address of this machine's own that no other bed has: listening there takes it."""
    for address in [wanted] if wanted else [f"127.0.77.{n}" for n in range(1, 255)]:
        listener = socket.socket()
        try:
            listener.bind((address, CLAIM))
            listener.listen()
            for port in [*APIS.values(), BROKER, DATABASE]:
                with socket.socket() as probe:
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    probe.bind((address, port))
            return address, listener
        except OSError as error:
            listener.close()
            reason = error
    raise Failed(f"no address for the bed: {address}: {reason}")


def serve(args):
    # Until our end; not our children's, who may not outlive us.
    hold = open(args.hold, "a")
    fcntl.flock(hold, fcntl.LOCK_SH)
    folder = pathlib.Path(args.folder)
    for name in ("state", "etc", "log"):
        shutil.rmtree(folder / name, ignore_errors=True)
    address, _claim = claim(args.address)
    bed = Bed(Services(args.venv, folder, address), LIMIT)
    control = Control(bed, folder / "control")
    signal.signal(signal.SIGTERM, lambda *_: bed.stopping.set())
    try:
        bed.boot(pathlib.Path(args.golden))
    except Exception as error:
        control.verdict = str(error) if isinstance(error, Failed) else f"{type(error).__name__}: {error}"
        bed.say(control.verdict)
    control.known.set()
    while not bed.stopping.wait(0.2) and not control.unused():
        reap(bed)
        if dead := bed.dead():
            bed.say(dead)
            # Those who come later are told; those who are at work see it.
            control.verdict = control.verdict or dead
        if control.verdict and control.unused():
            break
    end(folder)


def reap(bed):
    """Process 1 is the parent of all orphans, too."""
    ours = {process.pid for process in bed.processes.values()}
    for pid in (int(name) for name in os.listdir("/proc") if name.isdigit()):
        try:
            fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
        except OSError:
            continue
        if fields[0] == "Z" and fields[1] == "1" and pid not in ours:
            os.waitpid(pid, os.WNOHANG)


def end(folder):
    """Nothing goes on, and nothing stays but the logs."""
    (folder / "control").unlink(missing_ok=True)
    os.kill(-1, signal.SIGKILL)
    for name in ("state", "etc"):
        shutil.rmtree(folder / name, ignore_errors=True)
    for name in ("clouds.yaml", "openrc"):
        (folder / name).unlink(missing_ok=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["golden", "serve"])
    for name in ("venv", "folder", "golden", "hold", "address"):
        parser.add_argument(f"--{name}")
    args = parser.parse_args()
    if args.what == "serve":
        serve(args)
    else:
        pathlib.Path(args.folder).mkdir(parents=True)
        bed = Bed(Services(args.venv, args.folder, args.address), FIRST)
        try:
            bed.make_golden()
        except Failed as error:
            sys.exit(str(error))


main()
