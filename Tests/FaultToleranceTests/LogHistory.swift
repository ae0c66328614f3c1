import BatchEngine
import DStreamCore
import DStreamTestKit
import FaultTolerance

/// A scripted life of a log, and what became of it.
struct LogHistory {
    enum Step {
        case write(time: Int64, count: Int)
        /// A record, and while it is being written, others that form the next group or groups.
        case group([Int64])
        case clean(before: Int64)
        /// The log is closed and opened again.
        case reopen
        /// The program ends and begins again without closing the log.
        case restart
    }

    let steps: [Step]
    var options = FileWriteAheadLog.Options(rollingInterval: .milliseconds(1000))

    static let directory = "/data/log"

    /// What was written: numbers in order, with times.
    struct Record: Hashable, CustomStringConvertible {
        let number: Int
        let time: Int64
        var description: String { "\(number)@\(time)" }

        /// Bytes that tell the number, of a length of their own.
        var bytes: [UInt8] {
            [UInt8(number)]
                + (0..<(number * 7 % 60)).map { UInt8(truncatingIfNeeded: number &* 13 &+ $0) }
        }

        /// The number in a record's bytes.
        static func number(of bytes: [UInt8]) -> Int { bytes.first.map(Int.init) ?? -1 }
    }

    struct Outcome {
        var submitted: [Record] = []
        var acknowledged: [Record] = []
        /// Records older than that may be gone.
        var threshold = Int64.min
        var errors: [any Error] = []
        var medium: SimulatedStorageMedium
    }

    /// Runs the steps until the medium crashes; other errors are noted.
    func run(on medium: SimulatedStorageMedium) async -> Outcome {
        var outcome = Outcome(medium: medium)
        var log: FileWriteAheadLog?
        for step in steps {
            do {
                if log == nil { log = try await open(outcome.medium) }
                guard let opened = log else { continue }
                switch step {
                case .write(let time, let count):
                    for _ in 0..<count { await write(time, to: opened, &outcome) }
                case .group(let times): await writeGroup(times, to: opened, &outcome)
                case .clean(let threshold):
                    outcome.threshold = max(outcome.threshold, threshold)
                    try await opened.clean(before: .milliseconds(threshold))
                case .reopen:
                    await opened.close()
                    log = nil
                case .restart:
                    log = nil
                    outcome.medium.releaseLocks()
                }
            } catch {
                outcome.errors.append(error)
            }
        }
        return outcome
    }

    func open(_ medium: SimulatedStorageMedium) async throws -> FileWriteAheadLog {
        try await FileWriteAheadLog.open(Self.directory, on: medium, options: options)
    }

    private func write(
        _ time: Int64, to log: FileWriteAheadLog, _ outcome: inout Outcome
    ) async {
        let record = Record(number: outcome.submitted.count, time: time)
        outcome.submitted.append(record)
        do {
            _ = try await log.write(record.bytes, time: .milliseconds(time))
            outcome.acknowledged.append(record)
        } catch {
            outcome.errors.append(error)
        }
    }

    private func writeGroup(
        _ times: [Int64], to log: FileWriteAheadLog, _ outcome: inout Outcome
    ) async {
        let gate = Gate()
        let results = AsyncStream.makeStream(of: (Int, (any Error)?).self)
        outcome.medium.observe { _ in gate.pass() }
        let first = outcome.submitted.count
        for (index, time) in times.enumerated() {
            let record = Record(number: outcome.submitted.count, time: time)
            outcome.submitted.append(record)
            log.enqueue(record.bytes, time: .milliseconds(time)) { result in
                var failure: (any Error)?
                if case .failure(let error) = result { failure = error }
                results.continuation.yield((index, failure))
                gate.signal()
            }
            if index == 0 { await gate.wait() }
        }
        gate.open()
        outcome.medium.observe(nil)
        var failures: [Int: any Error] = [:]
        var count = 0
        for await (index, error) in results.stream {
            if let error { failures[index] = error }
            count += 1
            if count == times.count { break }
        }
        for index in times.indices {
            if let error = failures[index] {
                outcome.errors.append(error)
            } else {
                outcome.acknowledged.append(outcome.submitted[first + index])
            }
        }
    }
}

extension LogHistory.Outcome {
    /// What is wrong with the records that a log gives back.
    func faults(of read: [[UInt8]]) -> [String] {
        var faults: [String] = []
        let numbers = read.map { LogHistory.Record.number(of: $0) }
        for (bytes, number) in zip(read, numbers) {
            let isKnown = submitted.indices.contains(number) && submitted[number].bytes == bytes
            if !isKnown { faults.append("invented: \(bytes)") }
        }
        if zip(numbers, numbers.dropFirst()).contains(where: { $0 >= $1 }) {
            faults.append("out of order: \(numbers)")
        }
        let there = Set(numbers)
        for record in acknowledged
        where record.time >= threshold && !there.contains(record.number) {
            faults.append("lost: \(record) of \(acknowledged), got \(numbers)")
        }
        return faults
    }
}

extension LogHistory {
    static let all: [LogHistory] = [
        LogHistory(steps: [.write(time: 0, count: 3), .write(time: 2000, count: 2)]),
        LogHistory(
            steps: [
                .group([100, 200, 300, 400]), .group([900, 1200, 1300, 1100, 5000]), .reopen,
                .group([5000, 5100]), .write(time: 5000, count: 1),
            ]),
        LogHistory(
            steps: [
                .write(time: 0, count: 2), .write(time: 1500, count: 1),
                .write(time: 3000, count: 1), .clean(before: 2600), .reopen,
                .write(time: 5000, count: 1), .clean(before: 4100), .group([5200, 5300]),
                .clean(before: 100_000), .write(time: 200_000, count: 2),
            ]),
        LogHistory(
            steps: [
                .write(time: 10, count: 2), .restart, .write(time: 10, count: 1), .restart,
                .write(time: 5, count: 1), .reopen, .write(time: 5, count: 1),
            ]),
        LogHistory(
            steps: [
                .write(time: 0, count: 2), .write(time: 0, count: 1), .group([0, 0, 5]),
                .clean(before: 1), .restart, .write(time: 3000, count: 2),
                .clean(before: 2000),
            ],
            options: FileWriteAheadLog.Options(
                rollingInterval: .milliseconds(1000), closeFileAfterWrite: true)),
    ]
}
