import BatchEngine
import DStreamCore
import DStreamTestKit
import FaultTolerance
import StreamingContext
import Synchronization
import Testing

/// One file of a checkpoint directory is damaged while the program is down: after that everything is
/// right, or somebody is told by name.
@Suite("Damage on the disk", .timeLimit(.minutes(10)))
struct DamageCampaignTests {
    private static let last = 7

    /// A program that has ended somehow.
    private enum End: CaseIterable {
        case killed, stopped
    }

    @Test("damages of one file each are never silent, a thousand of them in release")
    func campaign() async throws {
        let changes = try await operations()
        var random = SeededRandom(seed: 21)
        var outcomes: [Outcome: Int] = [:]
        let snapshots = 25.testRounds
        for snapshot in 0..<snapshots {
            let end = snapshot % 5 == 4 ? End.stopped : .killed
            let kill = changes[changes.count * (snapshot + 1) / (snapshots + 2)]
            let ended = try await program(end, killedAfter: kill)
            for number in 0..<40 {
                var program = ended.copied()
                let place = "snapshot \(snapshot), number \(number)"
                let damage = Damage.random(on: program.medium, &random)
                damage.apply(to: program.medium)
                outcomes[try await outcome(&program, damage, place), default: 0] += 1
            }
        }
        // The campaign meets all of these.
        #expect((outcomes[.right] ?? 0) > 4 * snapshots, "\(outcomes)")
        #expect((outcomes[.refused] ?? 0) > 4 * snapshots, "\(outcomes)")
    }

    @Test(
        "the damages of the issue are never silent",
        arguments: ["state", "received/events", "received/stream-0", "chosen"])
    func ofTheIssue(log: String) async throws {
        let changes = try await operations()
        let directory = "/checkpoint/" + log
        for snapshot in 0..<5 {
            let ended = try await program(
                .killed, killedAfter: changes[changes.count * (snapshot + 2) / 8])
            for kind in Damage.ofTheIssue {
                var program = ended.copied()
                let damage = Damage(
                    path: try #require(try program.newestSegment(of: directory)), kind: kind)
                damage.apply(to: program.medium)
                _ = try await outcome(&program, damage, "snapshot \(snapshot)")
            }
            var program = ended.copied()
            for name in try program.medium.list(directory) {
                try program.medium.remove(directory + "/" + name)
            }
            let damage = Damage(path: directory + "/all", kind: .remove)
            let outcome = try await outcome(&program, damage, "snapshot \(snapshot)")
            #expect(outcome == .refused, "\(log), \(snapshot)")
        }
    }

    @Test("a stopped program misses its newest segment of events, and can be told to go on without")
    func acceptedLoss() async throws {
        let ended = try await program(.stopped, killedAfter: 0)
        var program = ended.copied()
        let segment = try #require(
            try program.newestSegment(of: "/checkpoint/received/events"))
        try program.medium.remove(segment)
        let error = await #expect(throws: StreamError.self) {
            _ = try await program.attempt(through: Self.last)
        }
        #expect(error?.code == .checkpointUnreadable)
        let message = "\(try #require(error))"
        #expect(message.contains("/checkpoint/received/events"))
        #expect(message.contains("See \"damaged log\" in Docs/Messages.md"))
        program.medium.releaseLocks()
        program.acceptedLosses = ["received/events"]
        _ = try await program.attempt(through: Self.last)
        #expect(program.messages.contains { $0.contains("damaged-extent") }, "\(program.messages)")
    }

    // MARK: The end of the events, cut behind a mark, as if nothing had come after it

    @Test("events that know of fewer batches than a sink holds are refused")
    func lostAllocation() async throws {
        let (medium, harness, feed, _) = try await receiving(on: SimulatedStorageMedium())
        try await feed.store(block: ["a"])
        let (segment, length) = try events(on: medium)
        medium.fail {
            $0.kind == .create && $0.path.hasPrefix("/checkpoint/checkpoint-") ? .failed : nil
        }
        harness.clock.advance(by: .seconds(1))
        await harness.listener.first { event in
            if case .batchCompleted = event { true } else { false }
        }
        let after = medium.restarted()
        await harness.ssc.stop()
        after.setContents(
            of: segment, to: Array(try #require(after.contents(of: segment)).prefix(length)))
        let error = await #expect(throws: StreamError.self) {
            _ = try await receiving(on: after, from: .seconds(1))
        }
        #expect(error?.code == .checkpointUnreadable)
        #expect("\(error as Any)".contains("/checkpoint/received/events has lost its end"))
        #expect("\(error as Any)".contains("file:/out holds batch"))
    }

    @Test("blocks that the events do not know are reported")
    func unknownBlocks() async throws {
        let (medium, harness, feed, _) = try await receiving(on: SimulatedStorageMedium())
        try await feed.store(block: ["a"])
        let (segment, length) = try events(on: medium)
        try await feed.store(block: ["b"])
        let after = medium.restarted()
        await harness.ssc.stop()
        let (_, next, _, untouched) = try await receiving(on: after.restarted())
        await next.ssc.stop()
        #expect(untouched.all.isEmpty)
        let cut = after.restarted()
        cut.setContents(
            of: segment, to: Array(try #require(cut.contents(of: segment)).prefix(length)))
        let (_, last, _, notes) = try await receiving(on: cut)
        await last.ssc.stop()
        #expect(notes.all.count == 1)
        #expect(notes.all.first?.contains("/checkpoint/received/stream-0 ends with") == true)
        #expect(notes.all.first?.contains("See \"unknown blocks\" in Docs/Messages.md") == true)
    }

    private func events(on medium: SimulatedStorageMedium) throws -> (String, Int) {
        let program = WholeProgram(medium: medium)
        let segment = try #require(
            try program.newestSegment(of: "/checkpoint/received/events"))
        return (segment, try #require(medium.contents(of: segment)).count)
    }

    /// A program that writes what it receives to a sink.
    private func receiving(
        on medium: SimulatedStorageMedium, from start: BatchTime = .zero
    ) async throws -> (
        SimulatedStorageMedium, StreamHarness, FeedReceiver<String>, Notes<String>
    ) {
        let notes = Notes<String>()
        var components = StreamHarness.quietComponents
        components.storageMedium = medium
        components.logger = NotingLogger(notes: notes)
        let harness = StreamHarness(startTime: start, components: components)
        let feed = FeedReceiver<String>()
        harness.ssc.receiverStream(feed, protection: .writeAheadLog)
            .write(to: FileSink("/out", on: medium))
        _ = try await StreamingContext.getOrCreate(checkpointDirectory: "/checkpoint") {
            harness.ssc
        }
        do { try await harness.ssc.start() } catch {
            await harness.ssc.stop()
            throw error
        }
        return (medium, harness, feed, notes)
    }

    // MARK: Running

    private enum Outcome: Hashable { case right, reported, refused }

    /// What comes of a program after damage; records an issue when it is wrong and nobody was told.
    private func outcome(
        _ program: inout WholeProgram, _ damage: Damage, _ place: String
    ) async throws -> Outcome {
        let label = "\(damage), \(place)"
        let errors: [String]
        do { errors = try await program.attempt(through: Self.last) } catch {
            #expect("\(error)".contains(damage.directory), "\(label): \(error)")
            return .refused
        }
        if !errors.isEmpty {
            #expect(errors.contains { $0.contains("/checkpoint") }, "\(label): \(errors)")
            return .refused
        }
        let faults = try await program.faults()
        if faults.isEmpty { return .right }
        #expect(
            program.messages.contains { $0.contains(damage.directory) },
            "\(label): \(faults), and only \(program.messages)")
        return .reported
    }

    /// A program that was killed after an operation, or stopped in order.
    private func program(_ end: End, killedAfter kill: Int) async throws -> WholeProgram {
        var program = WholeProgram(medium: SimulatedStorageMedium())
        switch end {
        case .killed:
            program.medium.crash(afterOperation: kill)
            await program.runUntilCrash(through: 4)
        case .stopped: try await program.run(through: 4)
        }
        return program
    }

    /// The operations of a run that change something, from its first batch on.
    private func operations() async throws -> [Int] {
        var program = WholeProgram(medium: SimulatedStorageMedium())
        try await program.run(through: 4)
        let changes = program.medium.operations.filter { $0.kind.isChange }
        // From then on a block has been acknowledged.
        let acknowledged = changes.filter {
            $0.kind == .sync && $0.path.hasPrefix("/checkpoint/received/events/log-")
        }
        let first = try #require(acknowledged.dropFirst().first)
        return changes.filter { $0.number > first.number }.map(\.number)
    }
}

/// What happened to a file.
private struct Damage: CustomStringConvertible {
    enum Kind: Equatable {
        case cut(to: Int)
        case cutLastByte
        case flip(bit: Int)
        case flipNearEnd(bit: Int)
        case garbage(at: Int, [UInt8])
        case empty, remove
    }

    let path: String
    let kind: Kind

    static let ofTheIssue: [Kind] = [
        .cutLastByte, .flipNearEnd(bit: 0), .flipNearEnd(bit: 11), .flipNearEnd(bit: 23), .remove,
        .empty,
    ]

    var description: String { "\(kind) of \(path)" }

    /// What must be named.
    var directory: String {
        let parts = path.split(separator: "/").dropLast()
        return "/" + parts.joined(separator: "/")
    }

    static func random(
        on medium: SimulatedStorageMedium, _ random: inout SeededRandom
    ) -> Damage {
        let paths = medium.files(under: "/checkpoint").filter { !$0.hasSuffix("/lock") }
        let path = paths.randomElement(using: &random) ?? ""
        let count = medium.contents(of: path)?.count ?? 0
        let kind: Kind
        switch Int.random(in: 0..<5, using: &random) {
        case 0: kind = .cut(to: Int.random(in: 0...count, using: &random))
        case 1: kind = .flip(bit: Int.random(in: 0..<max(1, count * 8), using: &random))
        case 2:
            let start = Int.random(in: 0...count, using: &random)
            let length = Int.random(in: 1...64, using: &random)
            kind = .garbage(
                at: start, (0..<length).map { _ in UInt8.random(in: 0...255, using: &random) })
        case 3: kind = .empty
        default: kind = .remove
        }
        return Damage(path: path, kind: kind)
    }

    func apply(to medium: SimulatedStorageMedium) {
        var bytes = medium.contents(of: path) ?? []
        switch kind {
        case .cut(let count): bytes = Array(bytes.prefix(count))
        case .cutLastByte: bytes = bytes.dropLast()
        case .flip(let bit): if bit / 8 < bytes.count { bytes[bit / 8] ^= 1 << UInt8(bit % 8) }
        case .flipNearEnd(let bit):
            let place = bytes.count - 1 - bit / 8
            if place >= 0 { bytes[place] ^= 1 << UInt8(bit % 8) }
        case .garbage(let start, let garbage):
            bytes =
                Array(bytes.prefix(start)) + garbage + Array(bytes.dropFirst(start + garbage.count))
        case .empty: bytes = []
        case .remove:
            _ = try? medium.remove(path)
            return
        }
        medium.setContents(of: path, to: bytes)
    }
}

extension WholeProgram {
    fileprivate func newestSegment(of directory: String) throws -> String? {
        let names = try medium.list(directory).filter { $0.hasPrefix("log-") }
        let times = names.map { name in
            (Int64(name.split(separator: "-")[1]) ?? 0, name)
        }
        return times.max { $0 < $1 }.map { directory + "/" + $0.1 }
    }
}

extension SimulatedStorageMedium {
    /// All files below a directory, in order.
    fileprivate func files(under directory: String) -> [String] {
        ((try? list(directory)) ?? []).flatMap { name -> [String] in
            let path = directory + "/" + name
            return contents(of: path) == nil ? files(under: path) : [path]
        }
    }
}
