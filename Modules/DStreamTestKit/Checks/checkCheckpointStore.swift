internal import BatchEngine
public import DStreamCore

/// Checks that a checkpoint store keeps the promises of `CheckpointStore`.
///
/// - Parameters:
///   - make: makes an empty store; called several times.
///   - reopen: opens a closed store again, as a program that is started again does; by default it is
///     the same object.
/// - Throws: ``CheckFailure`` saying which promise is broken, or what the store threw.
public func checkCheckpointStore(
    _ make: () async throws -> any CheckpointStore,
    reopen: (any CheckpointStore) async throws -> any CheckpointStore = { $0 }
) async throws {
    try await checkWrites(try await make(), reopen)
    try await checkForgetting(try await make(), reopen)
}

private func record(_ number: Int64, oldestState: Int64 = -1) -> CheckpointRecord {
    var record = CheckpointRecord(
        time: .seconds(number), appName: "check é", zeroTime: .seconds(-1),
        batchInterval: .milliseconds(500), fingerprint: "print \(number)",
        pendingBatches: [.milliseconds(number * 1000 - 500), .seconds(number)],
        isCompleted: number % 2 == 0)
    record.newestCompleted = number > 0 ? .seconds(number - 1) : nil
    record.parallelism = 3
    record.oldestState = .seconds(oldestState)
    record.operators = [
        StatefulOperator(kind: "window", name: nil, shape: "Int", number: 1),
        StatefulOperator(kind: "updateStateByKey", name: "sums", shape: "(Int,Int)"),
    ]
    record.logs = ["chosen": LogPosition(segment: 1, offset: UInt64(number) + 7)]
    record.configuration = ["key": "value \(number)", "": ""]
    return record
}

/// The pieces of a write: of two operators, all kinds, and several partitions.
private func pieces(_ number: Int64) -> [OperatorState] {
    OperatorState.Kind.allCases.flatMap { kind in
        (0..<3).map { partition in
            let byteCount = partition == 2 && number == 1 ? 100_000 : partition
            let bytes = (0..<byteCount).map { UInt8(truncatingIfNeeded: $0 &* 31 &+ Int(number)) }
            return OperatorState(
                operatorID: partition == 1 ? "window of Int #1" : "sums é", time: .seconds(number),
                kind: kind, partition: partition, partitionCount: 3,
                values: EncodedValues(bytes: bytes, count: byteCount),
                removed: EncodedValues(bytes: [UInt8](repeating: 9, count: partition), count: 1))
        }
    }
}

private func checkWrites(
    _ made: any CheckpointStore,
    _ reopen: (any CheckpointStore) async throws -> any CheckpointStore
) async throws {
    var store = made
    try require(try await store.recover() == nil, "a new store holds nothing")
    var writes: [[OperatorState]] = []
    // Two records of one batch, as after its generation and its completion; some without state.
    for (number, state) in [(0, []), (1, pieces(1)), (1, []), (2, pieces(2)), (3, pieces(3))]
        as [(Int64, [OperatorState])]
    {
        var next = record(number)
        next.isCompleted = state.isEmpty
        try await store.write(next, state: state)
        writes.append(state)
        await store.close()
        store = try await reopen(store)
        guard let found = try await store.recover() else {
            throw CheckFailure("what was written is there after reopening")
        }
        try require(
            found.record == next,
            "the newest record is recovered as it was written: \(found.record), not \(next)")
        try require(
            found.problems.isEmpty, "an intact store reports no damage: \(found.problems)")
        try checkState(found.state, writes)
    }
    await store.close()
}

private func checkState(_ found: [OperatorState], _ writes: [[OperatorState]]) throws {
    let all = writes.flatMap { $0 }
    try require(
        counts(found) == counts(all),
        "all state since the record's oldestState is recovered: \(found.count) pieces, not "
            + "\(all.count), or other ones")
    // Pieces of one write have one time here.
    let times = found.map(\.time)
    try require(times == times.sorted(), "state is recovered in the order of the writes: \(times)")
}

private func counts(_ pieces: [OperatorState]) -> [OperatorState: Int] {
    Dictionary(pieces.map { ($0, 1) }, uniquingKeysWith: +)
}

/// Many writes, whose state is needed for a while.
private func checkForgetting(
    _ made: any CheckpointStore,
    _ reopen: (any CheckpointStore) async throws -> any CheckpointStore
) async throws {
    var store = made
    _ = try await store.recover()
    var written: [OperatorState] = []
    for number in 1...40 as ClosedRange<Int64> {
        let next = record(number, oldestState: number - 5)
        try await store.write(next, state: pieces(number))
        written += pieces(number)
        guard number % 13 == 0 || number == 40 else { continue }
        await store.close()
        store = try await reopen(store)
        guard let found = try await store.recover() else {
            throw CheckFailure("what was written is there after reopening")
        }
        try require(found.record == next, "of many records the newest is recovered")
        let needed = written.filter { $0.time >= next.oldestState }
        let kept = found.state.filter { $0.time >= next.oldestState }
        try require(
            counts(kept) == counts(needed),
            "state of the record's oldestState and later stays: \(kept.count) pieces, not "
                + "\(needed.count), or other ones")
        let known = Set(written)
        try require(
            found.state.allSatisfy(known.contains), "no state is recovered that was not written")
    }
    await store.close()
}
