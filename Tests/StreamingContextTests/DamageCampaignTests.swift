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
            let usual = try await usualMessages(of: ended, "snapshot \(snapshot)")
            for number in 0..<40 {
                let place = "snapshot \(snapshot), number \(number)"
                let damage = Damage.random(on: ended.copied().medium, &random)
                let outcome = try await outcome(of: ended, damage, usual, place)
                outcomes[outcome, default: 0] += 1
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
            let usual = try await usualMessages(of: ended, "snapshot \(snapshot)")
            let whole = ended.copied()
            let segment = try #require(try whole.newestSegment(of: directory))
            for kind in Damage.ofTheIssue {
                _ = try await outcome(
                    of: ended, Damage(paths: [segment], kind: kind), usual, "snapshot \(snapshot)")
            }
            let all = try whole.medium.list(directory).map { directory + "/" + $0 }
            let outcome = try await outcome(
                of: ended, Damage(paths: all, kind: .remove), usual, "snapshot \(snapshot)")
            #expect(outcome == .refused, "\(log), \(snapshot)")
        }
    }

    @Test("a directory without its checkpoint files is refused, and works again with them")
    func checkpointsRemoved() async throws {
        let changes = try await operations()
        for snapshot in 0..<5 {
            let ended = try await program(
                snapshot == 4 ? .stopped : .killed,
                killedAfter: changes[changes.count * (snapshot + 2) / 8])
            var program = ended.copied()
            let files = try program.medium.list("/checkpoint").filter {
                $0.hasPrefix("checkpoint-")
            }.map { "/checkpoint/" + $0 }
            let kept = files.map { program.medium.contents(of: $0) }
            Damage(paths: files, kind: .remove).apply(to: program.medium)
            for _ in 0..<2 {
                let error = await #expect(throws: StreamError.self) {
                    _ = try await program.attempt(through: Self.last)
                }
                #expect(error?.code == .checkpointUnreadable)
                let text = "\(try #require(error))"
                #expect(text.contains("there is no checkpoint in /checkpoint"), "\(text)")
                #expect(text.contains("See \"checkpoints are gone\" in Docs/Messages.md"))
                program.medium.releaseLocks()
            }
            for (path, contents) in zip(files, kept) {
                program.medium.setContents(of: path, to: try #require(contents))
            }
            try await program.run(through: Self.last)
            try await program.check("snapshot \(snapshot), restored")
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
        #expect(
            program.messages.contains { $0.contains("quarantined-extent") }, "\(program.messages)")
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
        try await harness.listener.first { event in
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

    /// What a program says that goes on without damage; records an issue when that is not right.
    private func usualMessages(of ended: WholeProgram, _ place: String) async throws -> Set<String>
    {
        var program = ended.copied()
        let errors = try await program.attempt(through: Self.last)
        let faults = try await program.faults()
        #expect(errors.isEmpty && faults.isEmpty, "\(place): \(errors), \(faults)")
        return Set(program.messages)
    }

    /// What comes of a program after damage; records an issue when it is wrong and nobody was told.
    private func outcome(
        of ended: WholeProgram, _ damage: Damage, _ usual: Set<String>, _ place: String
    ) async throws -> Outcome {
        var program = ended.copied()
        damage.apply(to: program.medium)
        let label = "\(damage), \(place)"
        let errors: [String]
        do { errors = try await program.attempt(through: Self.last) } catch {
            #expect(damage.isNamed(in: "\(error)"), "\(label): \(error)")
            return .refused
        }
        if !errors.isEmpty {
            #expect(errors.contains(where: damage.isNamed), "\(label): \(errors)")
            return .refused
        }
        let faults = try await program.faults()
        if faults.isEmpty { return .right }
        let unusual = program.messages.filter { !usual.contains($0) }
        #expect(
            unusual.contains(where: damage.isNamed),
            "\(label): \(faults), and only \(unusual)")
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

/// What happened to a file, or to some of one directory.
private struct Damage: CustomStringConvertible {
    enum Kind: Equatable {
        case cut(to: Int)
        case cutLastByte
        case flip(bit: Int)
        case flipNearEnd(bit: Int)
        case garbage(at: Int, [UInt8])
        case empty, remove
    }

    let paths: [String]
    let kind: Kind

    static let ofTheIssue: [Kind] = [
        .cutLastByte, .flipNearEnd(bit: 0), .flipNearEnd(bit: 11), .flipNearEnd(bit: 23), .remove,
        .empty,
    ]

    var description: String { "\(kind) of \(paths)" }

    /// Whether a text names the place: the directory, of a checkpoint the file, as every message has
    /// the checkpoint directory; or that none is left.
    func isNamed(in text: String) -> Bool {
        guard let path = paths.first else { return false }
        if path.hasPrefix("/checkpoint/checkpoint-") {
            return text.contains(path)
                || kind == .remove && text.contains("there is no checkpoint in /checkpoint,")
        }
        let parts = path.split(separator: "/").dropLast()
        return text.contains("/" + parts.joined(separator: "/"))
    }

    static func random(
        on medium: SimulatedStorageMedium, _ random: inout SeededRandom
    ) -> Damage {
        let directories = ["/checkpoint"] + WholeProgram.sinks.map { $0 + "/manifest" }
        let paths = directories.flatMap(medium.files(under:)).filter { !$0.hasSuffix("/lock") }
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
        return Damage(paths: [path], kind: kind)
    }

    func apply(to medium: SimulatedStorageMedium) {
        for path in paths { apply(to: path, medium) }
    }

    private func apply(to path: String, _ medium: SimulatedStorageMedium) {
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
