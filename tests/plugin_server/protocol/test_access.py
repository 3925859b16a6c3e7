import logging

import pytest

from plugin_server.protocol.access import MAX_HOSTS, OTHERS, AccessPolicy


def test_without_a_list_this_machine_is_admitted_and_nobody_else():
    guard = AccessPolicy()
    assert guard.bind == "127.0.0.1"
    assert all(guard.allows(host) for host in ("127.0.0.1", "127.0.0.2", "::1"))
    assert not guard.allows("192.168.1.20")


@pytest.mark.parametrize(
    ("host", "admitted"),
    [
        ("127.0.0.1", True),
        ("::1", True),
        ("192.168.1.20", True),
        ("::ffff:192.168.1.20", True),
        ("10.0.3.4", True),
        ("192.168.1.21", False),
        ("127.0.0.2", False),
        ("10.1.0.0", False),
        ("::ffff:192.168.1.21", False),
        ("fe80::1%eth0", False),
    ],
)
def test_a_list_holds_addresses_and_networks(host, admitted):
    guard = AccessPolicy(["192.168.1.20", "10.0.9.9/16"])
    assert guard.bind == "0.0.0.0"
    assert guard.allows(host) is admitted
    assert guard.refused == ({} if admitted else {host: 1})


def test_the_log_tells_each_host_once_and_all_are_counted(caplog):
    guard = AccessPolicy(["192.168.1.20"])
    with caplog.at_level(logging.WARNING):
        for _ in range(5):
            assert not guard.allows("192.168.1.21")
    assert guard.refused == {"192.168.1.21": 5}
    assert [record.getMessage() for record in caplog.records] == [
        "192.168.1.21 is not among the hosts of --allow and is ignored"
    ]


def test_forged_senders_fill_neither_memory_nor_the_log(caplog):
    guard = AccessPolicy(["192.168.1.20"])
    for i in range(MAX_HOSTS + 300):
        guard.allows(f"10.0.{i // 256}.{i % 256}")
    assert len(guard.refused) == MAX_HOSTS + 1 == len(caplog.records)
    assert guard.refused[OTHERS] == 300
