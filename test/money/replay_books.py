#!/usr/bin/env python3
"""The books, made again from what was written down: transactions, entries and holds, nothing else.

replay_books.py DIR reads COPY output (text) of DIR/transactions.tsv, entries.tsv, holds.tsv and compares with
DIR/accounts.tsv. It shares no code with what it checks. Prints what differs; status 3 when something does.

    transactions  id kind reverses reference_type reference_id
    entries       id transaction account amount direction currency balance_after     (by id)
    holds         id account amount captured status
    accounts      id is_system currency floor posted held
"""
import os
import sys
from collections import defaultdict

SHOWN = 20
found = 0


def wrong(message):
    global found
    found += 1
    if found <= SHOWN:
        print("# replay: " + message)


def rows(directory, name):
    with open(os.path.join(directory, name + ".tsv"), encoding="ascii") as lines:
        for line in lines:
            yield [None if field == "\\N" else field for field in line.rstrip("\n").split("\t")]


def read_accounts(directory):
    return {r[0]: (r[1] == "t", r[2], None if r[3] is None else int(r[3]), int(r[4]), int(r[5]))
            for r in rows(directory, "accounts")}


def replay(directory):
    accounts = read_accounts(directory)
    transactions = {r[0]: r[1:] for r in rows(directory, "transactions")}
    posted = defaultdict(int)          # account -> credits less debits so far
    legs = defaultdict(list)           # transaction -> (account, signed amount, currency)
    newest = 0
    for number, transaction, account, amount, direction, currency, after in rows(directory, "entries"):
        number, amount = int(number), int(amount)
        if number <= newest:
            wrong(f"entry {number} is there twice or out of order")
        newest = number
        if amount <= 0 or direction not in ("debit", "credit"):
            wrong(f"entry {number} is {direction} {amount}")
        if transaction not in transactions:
            wrong(f"entry {number} belongs to no transaction")
        if account not in accounts:
            wrong(f"entry {number} is of no account")
            continue
        is_system, own_currency, floor, _, _ = accounts[account]
        signed = amount if direction == "credit" else -amount
        posted[account] += signed
        legs[transaction].append((account, signed, currency))
        if currency != own_currency:
            wrong(f"entry {number} is {currency}, its account {own_currency}")
        if is_system:
            if after is not None:
                wrong(f"entry {number} of a system account says what the balance is")
            continue
        if after is None or int(after) != posted[account]:
            wrong(f"entry {number}: the balance after it is {posted[account]}, it says {after}")
        # Holds only lower what may be spent: what is posted alone never passes the floor downwards.
        if floor is not None and signed < 0 and posted[account] < floor:
            wrong(f"entry {number} takes {account} to {posted[account]}, below its floor {floor}")
    check_transactions(transactions, legs)
    check_balances(directory, accounts, posted, transactions, legs)
    print(f"  replayed {len(transactions)} transactions, {sum(map(len, legs.values()))} entries, {len(accounts)} accounts")


def check_transactions(transactions, legs):
    reversed_by = {}
    for transaction, (kind, reverses, _, _) in transactions.items():
        mine = legs.get(transaction, [])
        sums = defaultdict(int)
        for _, signed, currency in mine:
            sums[currency] += signed
        for currency, total in sums.items():
            if total != 0:
                wrong(f"transaction {transaction} ({kind}) sums to {total} {currency}")
        if len(mine) < 2:
            wrong(f"transaction {transaction} ({kind}) has {len(mine)} entries")
        if reverses is None:
            continue
        if reverses in reversed_by:
            wrong(f"transaction {reverses} is reversed by {reversed_by[reverses]} and by {transaction}")
        reversed_by[reverses] = transaction
        first = transactions.get(reverses)
        if first is None or first[1] is not None:
            wrong(f"transaction {transaction} reverses {reverses}, which is none or a reversal itself")
        elif sorted(mine) != sorted((a, -s, c) for a, s, c in legs.get(reverses, [])):
            wrong(f"transaction {transaction} is not the opposite of {reverses}")


def check_balances(directory, accounts, posted, transactions, legs):
    held = defaultdict(int)
    captures = {t[3]: i for i, t in transactions.items() if t[2] == "hold" and t[0] == "capture"}
    if len(captures) != sum(1 for t in transactions.values() if t[2] == "hold" and t[0] == "capture"):
        wrong("a hold was captured twice")
    for hold, account, amount, captured, status in rows(directory, "holds"):
        if status == "held":
            held[account] += int(amount)
        if (status == "captured") != (int(captured) > 0) or int(captured) > int(amount):
            wrong(f"hold {hold} is {status}, captured {captured} of {amount}")
        capture = captures.pop(hold, None)
        if capture is not None and sum(s for a, s, _ in legs[capture] if a == account) != -int(captured):
            wrong(f"hold {hold} was captured for {captured}, and transaction {capture} says otherwise")
    for hold in captures:
        wrong(f"a capture of hold {hold}, which is not there")
    sums = defaultdict(int)
    for account, (_, currency, floor, balance, says_held) in accounts.items():
        sums[currency] += posted[account]
        if posted[account] != balance:
            wrong(f"account {account} has {posted[account]}, it says {balance}")
        if held[account] != says_held:
            wrong(f"account {account} holds {held[account]}, it says {says_held}")
        if floor is not None and posted[account] - held[account] < floor:
            wrong(f"account {account} has {posted[account] - held[account]} available, its floor is {floor}")
    for currency, total in sums.items():
        if total != 0:
            wrong(f"{currency} sums to {total}")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    replay(sys.argv[1])
    if found > SHOWN:
        print(f"# replay: {found} differences in all")
    sys.exit(3 if found else 0)
