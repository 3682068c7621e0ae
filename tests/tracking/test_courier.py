import logging
import threading

from delineate.tracking.courier import Courier


def test_errands_are_run_in_order_and_all_before_the_end():
    done = []
    courier = Courier("the shop")
    for i in range(100):
        courier.send(lambda i=i: done.append(i))
    courier.close()
    assert done == list(range(100))


def test_whoever_sends_does_not_wait():
    gate, done = threading.Event(), []
    courier = Courier("the shop")
    courier.send(gate.wait)
    courier.send(lambda: done.append(1))
    assert done == []
    gate.set()
    courier.close()
    assert done == [1]


def test_what_fails_is_tried_again_and_the_log_says_so_once(caplog):
    attempts = []

    def unsteady():
        attempts.append(1)
        if len(attempts) < 3:
            raise ConnectionError("nobody there")

    courier = Courier("the shop", retry_s=0.01)
    courier.send(unsteady)
    while len(attempts) < 3:
        threading.Event().wait(0.005)
    courier.close()
    assert [record.message for record in caplog.records] == [
        "the shop: ConnectionError: nobody there. Training goes on; reports are kept and sent "
        "again later."
    ]


def test_the_end_does_not_wait_for_ever_and_says_what_is_lost(caplog):
    def fail():
        raise ConnectionError("gone")

    courier = Courier("the shop", retry_s=0.01)
    courier.send(fail)
    courier.send(fail)
    with caplog.at_level(logging.WARNING):
        courier.close(patience_s=5)
    assert caplog.records[-1].message == "the shop: 2 reports were not delivered."


def test_an_errand_that_fails_while_others_succeed_is_given_up(caplog):
    done = threading.Event()

    def refuse():
        raise TypeError("no such name")

    courier = Courier("the shop", retry_s=0.01)
    courier.send(refuse)
    given_up = "the shop: a report is given up: TypeError: no such name."
    for _ in range(500):
        if given_up in [record.message for record in caplog.records]:
            break
        courier.send(done.set)
        threading.Event().wait(0.01)
    courier.close()
    assert done.is_set()
    assert caplog.records[-1].message == given_up
