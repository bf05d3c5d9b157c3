"""A Slurm of one node, for tests: munged, slurmctld and slurmd of this machine's packages, all their state in
one folder.

    with OneNode(folder) as env: ...        env: what sbatch and squeue need in their environment

Needs no configuration of the machine and no running service; everything that was started is ended by its pid.
"""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import time

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "sinfo", "scancel")
SBIN = "/usr/sbin"
CONF = """
ClusterName=eclipse
SlurmctldHost={host}(127.0.0.1)
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={dir}/munge/socket
CryptoType=crypto/munge
SlurmctldPort={ctl}
SlurmdPort={node}
SlurmctldPidFile={dir}/slurmctld.pid
SlurmdPidFile={dir}/slurmd.pid
SlurmctldLogFile={dir}/slurmctld.log
SlurmdLogFile={dir}/slurmd.log
StateSaveLocation={dir}/state
SlurmdSpoolDir={dir}/spool
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
MpiDefault=none
SwitchType=switch/none
SchedulerParameters=batch_sched_delay=0,sched_interval=1,bf_interval=1
SchedulerType=sched/backfill
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
ReturnToService=2
SlurmdTimeout=300
KillWait=5
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} State=UNKNOWN
PartitionName=all Nodes={host} Default=YES MaxTime=INFINITE State=UP
"""


def missing():
    """The first program of Slurm that is not on this machine, or None."""
    path = os.environ.get("PATH", "") + ":" + SBIN
    return next((p for p in PROGRAMS if not shutil.which(p, path=path)), None)


def free_ports(n):
    held = [socket.socket() for _ in range(n)]
    for s in held:
        s.bind(("127.0.0.1", 0))
    ports = [s.getsockname()[1] for s in held]
    for s in held:
        s.close()
    return ports


def user_name():
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


class OneNode:
    def __init__(self, folder, cpus=2):
        self.dir, self.cpus, self.started = folder, cpus, []
        self.env = dict(os.environ, SLURM_CONF=os.path.join(folder, "slurm.conf"),
                        PATH=os.environ.get("PATH", "") + ":" + SBIN)
        for name in [n for n in self.env if n.startswith(("SBATCH_", "SQUEUE_", "SLURM_JOB"))]:
            del self.env[name]

    def configure(self):
        for name, mode in (("munge", 0o755), ("state", 0o700), ("spool", 0o755), ("keys", 0o700)):
            os.makedirs(os.path.join(self.dir, name), exist_ok=True)
            os.chmod(os.path.join(self.dir, name), mode)
        key = os.path.join(self.dir, "keys", "munge.key")
        with open(os.open(key, os.O_CREAT | os.O_WRONLY, 0o600), "wb") as f:
            f.write(os.urandom(1024))
        ctl, node = free_ports(2)
        host = socket.gethostname().split(".")[0]
        with open(self.env["SLURM_CONF"], "w") as f:
            f.write(CONF.format(dir=self.dir, host=host, user=user_name(), ctl=ctl, node=node,
                                cpus=self.cpus))

    def start(self, *argv):
        log = open(os.path.join(self.dir, os.path.basename(argv[0]) + ".out"), "wb")
        p = subprocess.Popen(argv, env=self.env, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                             start_new_session=True)
        log.close()
        self.started.append(p)

    def until(self, what, ready, seconds=60):
        end = time.monotonic() + seconds
        while not ready():
            dead = next((p for p in self.started if p.poll() is not None), None)
            if dead or time.monotonic() > end:
                raise RuntimeError(f"{what}: {dead.args[0] + ' ended' if dead else 'does not come up'}\n{self.logs()}")
            time.sleep(0.1)

    def logs(self):
        text = ""
        for name in sorted(os.listdir(self.dir)):
            if name.endswith((".out", ".log")):
                with open(os.path.join(self.dir, name), errors="replace") as f:
                    text += f"--- {name}\n{f.read()[-1500:]}\n"
        return text

    def idle(self):
        p = subprocess.run(["sinfo", "-h", "-o", "%T"], env=self.env, stdout=subprocess.PIPE,
                           stderr=subprocess.DEVNULL, text=True)
        return p.stdout.split() in (["idle"], ["mixed"], ["allocated"])

    def __enter__(self):
        try:
            self.configure()
            m = os.path.join(self.dir, "munge")
            self.start("munged", "-F", "--force", f"--socket={m}/socket",
                       f"--key-file={self.dir}/keys/munge.key",
                       f"--pid-file={m}/munged.pid", f"--seed-file={self.dir}/keys/seed",
                       f"--log-file={self.dir}/munged.log",
                       "--num-threads=2")
            self.until("munge", lambda: os.path.exists(f"{m}/socket"))
            self.start("slurmctld", "-D", "-c")
            self.start("slurmd", "-D")
            self.until("Slurm", self.idle)
        except BaseException:
            self.__exit__()
            raise
        return self.env

    def __exit__(self, *_):
        for p in reversed(self.started):
            if p.poll() is None:
                p.send_signal(signal.SIGTERM)
        for p in reversed(self.started):
            try:
                p.wait(20)
            except subprocess.TimeoutExpired:
                p.kill()
                p.wait()
