"""The peak of a process's resident memory."""

from pathlib import Path


def peak_memory() -> int | None:
    """The most memory this process has had resident, in bytes; None where the system does not say."""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM")), None)


def forget_peak_memory() -> None:
    """Let the peak start anew from what is resident."""
    if Path("/proc/self/clear_refs").exists():
        Path("/proc/self/clear_refs").write_text("5")
