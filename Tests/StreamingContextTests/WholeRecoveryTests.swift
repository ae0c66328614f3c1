import BatchEngine
import DStreamCore
import DStreamTestKit
import FaultTolerance
import StreamingContext
import Synchronization
import Testing

/// Programs all of whose storage is one medium.
///
/// Checkpoints, logs of received blocks, what input streams chose and sinks are there. It crashes
/// after each of its operations, and what comes out is compared with what was acknowledged.
@Suite("Whole recoveries", .timeLimit(.minutes(5)))
struct WholeRecoveryTests {
    /// The batch through which a program that has crashed goes on.
    private static let last = 7

    @Test("a crash after any operation loses and doubles nothing that was acknowledged")
    func crashAnywhere() async throws {
        let changes = try await changes(on: SimulatedStorageMedium(), through: 4)
        #expect(changes.count > 200)
        for crash in changes.crashPoints {
            var program = WholeProgram(medium: SimulatedStorageMedium())
            program.medium.crash(afterOperation: crash)
            await program.runUntilCrash(through: 4)
            program.reopen(seed: UInt64(crash))
            try await program.run(through: Self.last)
            try await program.check("crash after operation \(crash)")
        }
    }

    @Test("nor does a second crash, after any operation of the recovery")
    func crashInRecovery() async throws {
        // Two of the first crashes: in the middle of a batch, and one later with logs being cleaned.
        for first in [200, 400] {
            let counting = try await recovering(first, crash: nil)
            let changes = counting.medium.operations.filter { $0.kind.isChange }.map(\.number)
            for crash in changes.filter({ $0 % 4 == 0 }).crashPoints {
                var program = try await recovering(first, crash: crash)
                program.reopen(seed: UInt64(crash))
                try await program.run(through: Self.last)
                try await program.check("crashes after operations \(first), then \(crash)")
            }
        }
    }

    @Test("nor does a crash around the removal of a log's segment")
    func crashWhileCleaning() async throws {
        let last = 24
        let counting = SimulatedStorageMedium()
        _ = try await changes(on: counting, through: last)
        var crashes: Set<Int> = []
        for log in ["received/stream-0", "received/events", "chosen"] {
            let removals = counting.operations.filter { operation in
                operation.kind == .remove && operation.path.hasPrefix("/checkpoint/\(log)/log-")
            }
            let first = try #require(removals.first, "\(log) is not cleaned")
            crashes.formUnion([first.number - 1, first.number, first.number + 1])
        }
        for crash in crashes.sorted() {
            var program = WholeProgram(medium: SimulatedStorageMedium())
            program.medium.crash(afterOperation: crash)
            await program.runUntilCrash(through: last)
            program.reopen(seed: UInt64(crash))
            try await program.run(through: last + 2)
            try await program.check("crash after operation \(crash)")
        }
    }

    @Test("the end of the program after any operation loses and doubles nothing either")
    func endAnywhere() async throws {
        let changes = try await changes(on: SimulatedStorageMedium(), through: 4)
        for crash in changes.filter({ $0 % 4 == 0 }).crashPoints {
            var program = WholeProgram(medium: SimulatedStorageMedium())
            program.medium.crash(afterOperation: crash)
            await program.runUntilCrash(through: 4)
            program.restart()
            try await program.run(through: Self.last)
            try await program.check("end after operation \(crash)")
        }
    }

    /// The operations of a run without faults that change something.
    private func changes(
        on medium: SimulatedStorageMedium, through last: Int
    ) async throws -> [Int] {
        var program = WholeProgram(medium: medium)
        try await program.run(through: last)
        return medium.operations.filter { $0.kind.isChange }.map(\.number)
    }

    /// A program that has crashed and now recovers, and crashes once more.
    private func recovering(_ first: Int, crash: Int?) async throws -> WholeProgram {
        var program = WholeProgram(medium: SimulatedStorageMedium())
        program.medium.crash(afterOperation: first)
        await program.runUntilCrash(through: 6)
        program.reopen(seed: UInt64(first))
        program.medium.crash(afterOperation: crash)
        await program.runUntilCrash(through: program.batch + 1)
        return program
    }
}

/// A program that is run, and run again, on what a medium keeps, with a source that sends again what
/// was not acknowledged.
struct WholeProgram {
    /// A record, as it was sent in one of the runs.
    struct Record: Hashable {
        let number: Int
        let run: Int

        var text: String { "\(number)/\(run)" }
    }

    private static let window = 2
    /// The directories of its sinks.
    static let sinks = ["/records", "/windows", "/states", "/offsets"]

    fileprivate(set) var medium: SimulatedStorageMedium
    /// The newest batch that was due.
    private(set) var batch = 0
    private var runs = 0
    private var sent: [Record] = []
    private var acknowledged: [Record] = []
    private var topic = GrowingTopic(0)
    private var warnings = Notes<String>()
    /// The logs whose losses it accepts.
    var acceptedLosses: [String] = []

    init(medium: SimulatedStorageMedium) { self.medium = medium }

    /// The same program on a copy of the medium, after this one has ended.
    func copied() -> WholeProgram {
        var copy = self
        copy.medium = medium.restarted()
        copy.topic = GrowingTopic(topic.end)
        copy.warnings = Notes()
        return copy
    }

    /// What people could read since it was copied.
    var messages: [String] { warnings.all }

    /// The machine is started again after a crash.
    mutating func reopen(seed: UInt64) { medium = medium.reopened(seed: seed) }

    /// The program is started again, and the machine goes on.
    mutating func restart() { medium = medium.restarted() }

    /// Runs until nothing works any more, or through a batch.
    mutating func runUntilCrash(through last: Int) async { _ = try? await attempt(through: last) }

    /// Runs through a batch, and stops when everything is processed.
    mutating func run(through last: Int) async throws {
        let errors = try await attempt(through: last)
        #expect(errors.isEmpty)
    }

    /// Runs through a batch, as far as it comes; what went wrong after the start.
    mutating func attempt(through last: Int) async throws -> [String] {
        runs += 1
        let feed = FeedReceiver<String>()
        let harness = makeHarness(feed)
        do {
            _ = try await StreamingContext.getOrCreate(checkpointDirectory: "/checkpoint") {
                harness.ssc
            }
            try await harness.ssc.start()
        } catch {
            await harness.ssc.stop()
            throw error
        }
        var hasFailed = false
        while batch < last, !hasFailed {
            hasFailed = await !send(batch % 3 + 1, through: feed)
            topic.grow()
            batch += 1
            hasFailed = await !advance(harness) || hasFailed
        }
        await harness.ssc.stop(graceful: !hasFailed)
        let errors = harness.errors.map { "\($0)" }
        return hasFailed && errors.isEmpty ? ["something failed"] : errors
    }

    private func makeHarness(_ feed: FeedReceiver<String>) -> StreamHarness {
        var components = StreamHarness.quietComponents
        components.storageMedium = medium
        components.logger = NotingLogger(notes: warnings)
        var configuration = StreamingContext.Configuration()
        // Old segments go within a run.
        configuration.receiverWriteAheadLog.rollingInterval = .milliseconds(500)
        configuration.driverWriteAheadLog.rollingInterval = .milliseconds(500)
        let harness = StreamHarness(
            startTime: .seconds(Int64(batch)), configuration: configuration,
            components: components)
        for log in acceptedLosses { harness.ssc.acceptLoss(in: log) }
        let records = harness.ssc.receiverStream(feed, protection: .writeAheadLog)
        records.write(to: FileSink("/records", on: medium))
        let ones = records.map { record in (String(record.prefix(1)), 1) }
        ones.reduceByKeyAndWindow(+, window: .seconds(Int64(Self.window)))
            .map { "\($0.0) \($0.1)" }.write(to: FileSink("/windows", on: medium))
        ones.updateStateByKey { values, sum -> Int? in (sum ?? 0) + values.reduce(0, +) }
            .map { "\($0.0) \($0.1)" }.write(to: FileSink("/states", on: medium))
        harness.ssc.directStream(topic).stream.write(to: FileSink("/offsets", on: medium))
        return harness
    }

    /// Sends records in blocks of up to two; false when one was not acknowledged.
    private mutating func send(_ count: Int, through feed: FeedReceiver<String>) async -> Bool {
        var next = (acknowledged.map(\.number).max() ?? 0) + 1
        let end = next + count
        while next < end {
            let block = (next..<min(end, next + 2)).map { Record(number: $0, run: runs) }
            sent += block
            do { try await feed.store(block: block.map(\.text)) } catch { return false }
            acknowledged += block
            next += block.count
        }
        return true
    }

    /// Runs the next batch; false when something failed.
    private func advance(_ harness: StreamHarness) async -> Bool {
        do { try await harness.advance() } catch { return false }
        return harness.errors.isEmpty
    }

    // MARK: Comparing

    /// Compares everything that came out with what was acknowledged.
    func check(_ place: Comment) async throws {
        let faults = try await faults()
        #expect(faults.isEmpty, place)
    }

    /// What of everything that came out is not as it was acknowledged.
    func faults() async throws -> [String] {
        var faults: [String] = []
        func compare(_ isRight: Bool, _ fault: @autoclosure () -> String) {
            if !isRight { faults.append(fault()) }
        }
        let records = try await lines("/records")
        let all = records.values.joined()
        let counts = Dictionary(all.map { ($0, 1) }, uniquingKeysWith: +)
        let lost = acknowledged.filter { counts[$0.text] == nil }
        compare(lost.isEmpty, "lost: \(lost)")
        let doubled = counts.filter { $0.value > 1 }
        compare(doubled.isEmpty, "doubled: \(doubled)")
        compare(Set(counts.keys).isSubset(of: sent.map(\.text)), "invented: \(counts.keys)")
        let times = (1...batch).map { Int64($0) * 1000 }
        compare(records.keys.sorted() == times, "batches: \(records.keys.sorted())")
        let (windows, states) = (try await lines("/windows"), try await lines("/states"))
        var sums: [String: Int] = [:]
        for (index, time) in times.enumerated() {
            add(records[time] ?? [], to: &sums)
            compare(states[time] == texts(sums), "state at \(time): \(states[time] ?? [])")
            var window: [String: Int] = [:]
            for pane in times[max(0, index - Self.window + 1)...index] {
                add(records[pane] ?? [], to: &window)
            }
            compare(windows[time] == texts(window), "window at \(time): \(windows[time] ?? [])")
        }
        let offsets = try await lines("/offsets").values.joined().compactMap { Int($0) }
        compare(offsets.sorted() == Array(0..<topic.end), "offsets: \(offsets.sorted())")
        return faults
    }

    private func add(_ records: [String], to sums: inout [String: Int]) {
        for record in records { sums[String(record.prefix(1)), default: 0] += 1 }
    }

    private func texts(_ sums: [String: Int]) -> [String] { sums.map { "\($0) \($1)" }.sorted() }

    /// What a sink holds, by batch, sorted.
    private func lines(_ directory: String) async throws -> [Int64: [String]] {
        var found: [Int64: [String]] = [:]
        for batch in try await FileSink<String>.committedBatches(in: directory, on: medium) {
            let texts = try batch.files.map { file in
                String(decoding: try medium.readAll(directory + "/" + file.path), as: UTF8.self)
            }
            found[batch.batch.milliseconds] =
                texts.joined().split(separator: "\n").map(String.init).sorted()
        }
        return found
    }
}

/// A topic that gets two records at a time: their offsets.
private final class GrowingTopic: DirectSource {
    private let count: Mutex<Int>

    init(_ count: Int) { self.count = Mutex(count) }

    var end: Int { count.withLock { $0 } }

    func grow() { count.withLock { $0 += 2 } }

    func latestOffsets() async throws -> [TopicPartition: Int64] {
        [TopicPartition(topic: "t", partition: 0): Int64(end)]
    }

    func startingOffset(of partition: TopicPartition) async throws -> Int64 { 0 }

    func read(_ range: OffsetRange, _ body: (String) throws -> Void) throws {
        for offset in range.fromOffset..<range.untilOffset { try body("\(offset)") }
    }
}
