public import DStreamCore
internal import FaultTolerance

/// Checks that a log keeps the promises of `WriteAheadLog`.
///
/// - Parameters:
///   - make: opens an empty log; called several times.
///   - reopen: opens a closed log again, for logs that survive it.
/// - Throws: ``CheckFailure`` saying which promise is broken, or what the log threw.
public func checkWriteAheadLog(
    _ make: () async throws -> any WriteAheadLog,
    reopen: ((any WriteAheadLog) async throws -> any WriteAheadLog)? = nil
) async throws {
    try await checkOrder(try await make())
    try await checkParts(try await make())
    try await checkHandles(try await make(), other: try await make())
    try await checkOwnership(try await make(), other: try await make())
    try await checkWriters(try await make())
    try await checkCleaning(try await make())
    try await checkThresholds(try await make())
    try await checkClosing(try await make())
    if let reopen { try await checkReopening(try await make(), reopen) }
}

private let records: [[UInt8]] = [
    [], [0], Array("a text".utf8), [UInt8](repeating: 255, count: 24), [],
    (0..<70_000).map { UInt8(truncatingIfNeeded: $0 &* 31) }, [1],
]

private func checkOrder(_ log: any WriteAheadLog) async throws {
    try require(try await log.readAll().isEmpty, "a new log is empty")
    for (number, record) in records.enumerated() {
        // Times go up, stay, and go back.
        let time = BatchTime.milliseconds([5, 7, 7, 3, 200_000, 100, 400_000][number])
        _ = try await log.write(record, time: time)
        let all = try await log.readAll()
        try require(
            all == Array(records.prefix(number + 1)),
            "after record \(number) of \(record.count) bytes all are read in the order of writing")
    }
}

private func checkParts(_ log: any WriteAheadLog) async throws {
    let parted: [[[UInt8]]] = [
        [[1, 2], [3], [4, 5, 6]], [[], [7], [], [8], []], [], [[9]],
        [[10], [UInt8](repeating: 11, count: 70_000), [12]],
    ]
    for parts in parted {
        let whole = Array(parts.joined())
        let handle = try await log.write(parts: parts, time: .seconds(1))
        let promise = "write(parts:) writes one record of the parts in their order"
        try require(try await log.read(handle) == whole, promise)
        try require(try await log.readAll().last == whole, promise)
    }
    let count = try await log.readAll().count
    try require(count == parted.count, "write(parts:) writes one record: \(count)")
}

private func checkHandles(_ log: any WriteAheadLog, other: any WriteAheadLog) async throws {
    var handles: [LogRecordHandle] = []
    for (number, record) in records.enumerated() {
        handles.append(try await log.write(record, time: .seconds(Int64(number) * 60)))
    }
    try require(Set(handles).count == records.count, "each record has a handle of its own")
    for (handle, record) in zip(handles, records).reversed() {
        for _ in 0..<2 {
            let read = try await log.read(handle)
            try require(read == record, "a handle gives its record, as often as asked")
        }
    }
    for handle in [LogRecordHandle(place: ""), LogRecordHandle(place: "none:1:1"), handles[0]] {
        do {
            _ = try await other.read(handle)
        } catch {
            continue
        }
        throw CheckFailure("a handle that is not of this log is refused: \(handle.place)")
    }
}

/// Two logs with records of the same times and lengths: their handles may look alike.
private func checkOwnership(_ log: any WriteAheadLog, other: any WriteAheadLog) async throws {
    for number in 0..<5 as Range<UInt8> {
        let time = BatchTime.seconds(Int64(number) * 60)
        let handle = try await log.write([1, number], time: time)
        _ = try await other.write([2, number], time: time)
        guard let read = try? await other.read(handle) else { continue }
        throw CheckFailure(
            "a handle of another log is refused: \(handle.place) gives \(read)")
    }
}

private func checkWriters(_ log: any WriteAheadLog) async throws {
    let (writers, rounds) = (20, 25)
    let handles = try await withThrowingTaskGroup(of: [LogRecordHandle].self) { group in
        for writer in 0..<writers {
            group.addTask {
                var handles: [LogRecordHandle] = []
                for round in 0..<rounds {
                    let record = [UInt8(writer), UInt8(round)]
                    handles.append(
                        try await log.write(record, time: .milliseconds(Int64(round))))
                    let read = try await log.read(handles[round])
                    try require(read == record, "an acknowledged record is read at once")
                }
                return handles
            }
        }
        var all: [LogRecordHandle] = []
        for try await some in group { all += some }
        return all
    }
    try require(Set(handles).count == writers * rounds, "concurrent writers do not share handles")
    let all = try await log.readAll()
    try require(all.count == writers * rounds, "every record is there once: \(all.count)")
    for writer in 0..<writers {
        let own = all.filter { $0[0] == UInt8(writer) }.map { Int($0[1]) }
        try require(own == Array(0..<rounds), "a writer's records keep their order: \(own)")
    }
}

private func checkCleaning(_ log: any WriteAheadLog) async throws {
    try await log.clean(before: .seconds(1000))
    let count = 20
    var handles: [LogRecordHandle] = []
    for number in 0..<count {
        handles.append(try await log.write([UInt8(number)], time: .seconds(Int64(number) * 100)))
    }
    for threshold in [0, 500, 500, 1550] as [Int64] {
        try await log.clean(before: .seconds(threshold))
        let left = try await log.readAll().map { Int($0[0]) }
        let mustStay = Array(0..<count).filter { Int64($0) * 100 >= threshold }
        try require(
            left.suffix(mustStay.count) == mustStay[...],
            "clean keeps what is not older than \(threshold) s: \(left)")
        try require(
            left == Array((count - left.count)..<count), "clean removes the oldest: \(left)")
        for number in left {
            let read = try await log.read(handles[number])
            try require(read == [UInt8(number)], "what was not cleaned is read by its handle")
        }
        if left.count < count {
            do {
                _ = try await log.read(handles[count - left.count - 1])
                throw CheckFailure("what was cleaned is refused")
            } catch let failure as CheckFailure {
                throw failure
            } catch {}
        }
    }
    _ = try await log.write([99], time: .seconds(3000))
    let last = try await log.readAll().last
    try require(last == [99], "a cleaned log goes on")
}

private func checkThresholds(_ log: any WriteAheadLog) async throws {
    var handles: [LogRecordHandle] = []
    let seconds: [Int64] = [0, 100, 100, 200, 1000, 1001, 1002, 5000]
    for (number, second) in seconds.enumerated() {
        handles.append(try await log.write([UInt8(number)], time: .seconds(second)))
    }
    for (number, handle) in handles.enumerated() {
        guard let threshold = log.cleaningThreshold(keeping: handle) else { continue }
        try await log.clean(before: threshold)
        let left = try await log.readAll().map { Int($0[0]) }
        let mustStay = Array(number..<seconds.count)
        try require(
            left.suffix(mustStay.count) == mustStay[...],
            "cleaning before cleaningThreshold(keeping:), \(threshold), leaves the record of "
                + "\(seconds[number]) s and what follows: \(left)")
    }
}

private func checkClosing(_ log: any WriteAheadLog) async throws {
    _ = try await log.write([1], time: .zero)
    await log.close()
    await log.close()
    do {
        _ = try await log.write([2], time: .zero)
    } catch {
        return
    }
    throw CheckFailure("a closed log refuses writes")
}

private func checkReopening(
    _ made: any WriteAheadLog, _ reopen: (any WriteAheadLog) async throws -> any WriteAheadLog
) async throws {
    var log = made
    var handles: [LogRecordHandle] = []
    for (number, record) in records.enumerated() {
        // All of one time: what comes after an opening does not replace what was there.
        handles.append(try await log.write(record, time: .seconds(7)))
        await log.close()
        log = try await reopen(log)
        let all = try await log.readAll()
        try require(
            all == Array(records.prefix(number + 1)), "all records are there after reopening")
    }
    for (handle, record) in zip(handles, records) {
        let read = try await log.read(handle)
        try require(read == record, "handles outlive the log that made them")
    }
    try await log.clean(before: .seconds(1_000_000))
    await log.close()
    log = try await reopen(log)
    let left = try await log.readAll()
    try require(left.isEmpty, "what was cleaned stays away")
}
