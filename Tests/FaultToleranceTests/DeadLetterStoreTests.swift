import BatchEngine
import DStreamCore
import DStreamTestKit
import FaultTolerance
import Testing

/// Dead letters in files: their bytes, crashes at every operation, damage.
@Suite("Dead letters in files", .timeLimit(.minutes(5)))
struct DeadLetterStoreTests {
    private static let id = DeadLetter.ID(
        batchTime: .seconds(5), operationID: "foreachRDD of String #0")

    private static func letter(
        _ id: DeadLetter.ID = id, _ texts: [String] = ["a", "bc"], reason: String = "boom"
    ) throws -> DeadLetter {
        let partitions = try texts.map { text in
            EncodedValues(bytes: try Codec<String>.of().bytes(of: text), count: 1)
        }
        return DeadLetter(
            id: id, site: "foreachRDD at Main.swift:7", reason: reason, attempts: 3,
            contents: .output(DeadLetter.Elements(shape: "String", partitions: partitions)))
    }

    private static func inputLetter() throws -> DeadLetter {
        let elements = DeadLetter.Elements(
            shape: "Int", partitions: [EncodedValues(bytes: [2, 4], count: 2)])
        return DeadLetter(
            id: DeadLetter.ID(batchTime: .seconds(-1), operationID: "print \"naïve/\0 name\""),
            site: "print", reason: "", attempts: 1,
            contents: .inputs([
                DeadLetter.Input(stream: StreamID(0), name: "queueStream", elements: elements),
                DeadLetter.Input(
                    stream: StreamID(2), name: "textFileStream", elements: nil, problem: "gone",
                    unread: [
                        DeadLetter.UnreadPart(
                            name: "/in/b.gz", reason: "compressed",
                            part: EncodedValues(bytes: [1, 2, 3], count: 7))
                    ]),
            ]))
    }

    /// Letters that format version 1 wrote.
    @Test func lettersOfAnEarlierVersionAreRead() async throws {
        let files: [(DeadLetter, [UInt8])] = [
            (
                try Self.letter(),
                [
                    0x44, 0x53, 0x44, 0x4C, 1, 0, 0, 0, 0x3D, 0, 0, 0, 0x30, 0x3E, 0xAB, 0xB0,
                    0x11, 0, 0, 0, 0, 0, 0, 0, 0x88, 0x7C, 0xD9, 0x2D, 0x25, 0x72, 0xCB, 0x96,
                    0x90, 0x4E, 0x17,
                ] + Array("foreachRDD of String #0".utf8) + [0x1A]
                    + Array("foreachRDD at Main.swift:7".utf8) + [4] + Array("boom".utf8)
                    + [3, 1, 2, 6] + Array("String".utf8) + [2, 1, 2, 1, 0x61, 1, 3, 2, 0x62, 0x63]
            ),
            (
                DeadLetter(
                    id: DeadLetter.ID(batchTime: .seconds(-1), operationID: "print \"rows\""),
                    site: "print", reason: "", attempts: 1,
                    contents: .inputs([
                        DeadLetter.Input(
                            stream: StreamID(0), name: "queueStream",
                            elements: DeadLetter.Elements(
                                shape: "Int",
                                partitions: [EncodedValues(bytes: [2, 4], count: 2)])),
                        DeadLetter.Input(
                            stream: StreamID(2), name: "textFileStream", elements: nil,
                            problem: "gone"),
                    ])),
                [
                    0x44, 0x53, 0x44, 0x4C, 1, 0, 0, 0, 0x19, 0, 0, 0, 0x0D, 0x88, 0x79, 6,
                    0x30, 0, 0, 0, 0, 0, 0, 0, 0xC8, 0x67, 0xC2, 0x21, 0xA2, 0x34, 0xA1, 0xA8,
                    0xCF, 0x0F, 0x0C,
                ] + Array("print \"rows\"".utf8) + [5] + Array("print".utf8) + [
                    0, 1, 0, 2, 2, 0, 0x0B,
                ]
                    + Array("queueStream".utf8) + [0, 1, 3] + Array("Int".utf8)
                    + [1, 2, 2, 2, 4, 2, 0x0E] + Array("textFileStream".utf8) + [1, 4]
                    + Array("gone".utf8) + [0]
            ),
        ]
        for (letter, bytes) in files {
            let medium = SimulatedStorageMedium()
            let store = FileDeadLetterStore("/letters", on: medium)
            try await store.write(letter)
            let name = try #require(try medium.list("/letters").first { $0.hasSuffix(".letter") })
            medium.setContents(of: "/letters/" + name, to: bytes)
            #expect(try await store.list().entries == [letter.entry])
            #expect(try await store.read(letter.entry.id) == letter)
        }
    }

    /// Behind checksums that are right.
    @Test func bytesLeftOverAreDamage() throws {
        let bytes = try DeadLetterFormat.bytes(of: try Self.letter())
        let header = try DeadLetterFormat.header(of: bytes, path: "x")
        let start = bytes.count - Int(header.contentsByteCount) - header.entryByteCount
        let entry = Array(bytes[start...].prefix(header.entryByteCount)) + [0]
        let contents = Array(bytes[(start + header.entryByteCount)...]) + [0]
        var writer = ByteWriter()
        writer.writeBytes(Array(bytes[..<8]))
        writer.writeFixed(UInt32(entry.count))
        writer.writeFixed(Checksum.crc32c(entry))
        writer.writeFixed(UInt64(contents.count))
        writer.writeFixed(Checksum.crc32c(contents))
        writer.writeFixed(Checksum.crc32c(writer.bytes))
        let longer = try DeadLetterFormat.header(of: writer.bytes, path: "x")
        let damage = [
            #expect(throws: DeadLetterError.self) {
                try DeadLetterFormat.entry(of: entry, longer, path: "x")
            },
            #expect(throws: DeadLetterError.self) {
                try DeadLetterFormat.contents(of: contents, longer, isOutput: true, path: "x")
            },
        ]
        #expect(damage.map { $0?.message.contains("follow") } == [true, true])
    }

    @Test func whatWasWrittenIsReadAndListed() async throws {
        let store = FileDeadLetterStore("/a/letters", on: SimulatedStorageMedium())
        #expect(try await store.list() == DeadLetterListing(entries: []))
        let letters = [try Self.inputLetter(), try Self.letter()]
        for letter in letters.reversed() { try await store.write(letter) }
        #expect(try await store.list().entries == letters.map(\.entry))
        for letter in letters {
            #expect(try await store.read(letter.entry.id) == letter)
            #expect(try await store.isKnown(letter.entry.id))
        }
        guard case .output(let elements) = letters[1].contents else { return }
        #expect(try elements.decode(as: String.self) == ["a", "bc"])
        #expect(throws: StreamError.self) { try elements.decode(as: Int.self) }
    }

    @Test func everyMediumKeepsThePromises() async throws {
        try await checkDeadLetterStore {
            FileDeadLetterStore("letters", on: SimulatedStorageMedium())
        }
        let directory = try FileSystem.createTemporaryDirectory(prefix: "letters")
        defer { try? FileSystem.removeTree(directory) }
        try await checkDeadLetterStore { FileDeadLetterStore(directory + "/a/b") }
    }

    /// Numbers of elements that no sum could take, behind checksums that are right.
    @Test func countsThatNobodyWroteAreDamage() async throws {
        let store = FileDeadLetterStore("/letters", on: SimulatedStorageMedium())
        let elements = DeadLetter.Elements(
            shape: "Int", partitions: [EncodedValues(bytes: [], count: Int.max)])
        #expect(throws: CodecError.self) { try elements.decode(as: Int.self) }
        let letter = DeadLetter(
            id: Self.id, site: "", reason: "", attempts: 1, contents: .output(elements))
        try await store.write(letter)
        let error = await #expect(throws: DeadLetterError.self) {
            try await store.read(letter.entry.id)
        }
        #expect(error?.code == .damaged)
    }

    @Test func aBatchThatFailsAgainReplacesItsLetter() async throws {
        let store = FileDeadLetterStore("/letters", on: SimulatedStorageMedium())
        try await store.write(try Self.letter(reason: "first"))
        try await store.write(try Self.letter(reason: "second"))
        #expect(try await store.list().entries.map(\.reason) == ["second"])
    }

    @Test func whatWasReplayedWaitsNoLonger() async throws {
        let store = FileDeadLetterStore("/letters", on: SimulatedStorageMedium())
        try await store.write(try Self.letter())
        try await store.settle(Self.id)
        #expect(try await store.list().entries.isEmpty)
        #expect(try await store.isKnown(Self.id))
        await #expect(throws: DeadLetterError.self) { try await store.read(Self.id) }
    }

    @Test("a letter that is gone without having been replayed is missed by name")
    func missing() async throws {
        let medium = SimulatedStorageMedium()
        let store = FileDeadLetterStore("/letters", on: medium)
        let letters = [try Self.letter(), try Self.inputLetter()]
        for letter in letters { try await store.write(letter) }
        try await store.settle(Self.id)
        // What was replayed may be removed.
        for name in try medium.list("/letters/done") { try medium.remove("/letters/done/" + name) }
        #expect(try await store.list().problems == [])
        let name = try #require(try medium.list("/letters").first { $0.hasSuffix(".letter") })
        try medium.remove("/letters/" + name)
        let problems = try await store.list().problems
        #expect(problems.count == 1)
        #expect(problems.first?.contains("/letters/\(name) is gone") == true)
        #expect(problems.first?.contains("See \"missing dead letter\" in Docs/Messages.md") == true)
        // One that fails again is there again.
        try await store.write(letters[1])
        #expect(try await store.list().problems == [])
    }

    /// A store that has had many letters, of which one waits.
    private func used(_ medium: SimulatedStorageMedium) async throws -> FileDeadLetterStore {
        let store = FileDeadLetterStore("/letters", on: medium)
        for _ in 0..<20 {
            try await store.write(try Self.letter())
            try await store.settle(Self.id)
        }
        try await store.write(try Self.inputLetter())
        return store
    }

    @Test("the index is as long as what waits after a start, whenever it crashes")
    func compacted() async throws {
        let whole = SimulatedStorageMedium()
        let store = try await used(whole)
        func length(_ medium: SimulatedStorageMedium) -> Int {
            medium.contents(of: "/letters/index")?.count ?? 0
        }
        let before = length(whole)
        // Somebody replays: nothing is rewritten.
        let lock = try await store.lockForReplay()
        try await store.prepare()
        #expect(length(whole) == before)
        lock.release()
        let first = whole.operations.count
        try await store.prepare()
        let after = length(whole)
        #expect(after < 100 && before > 20 * 50)
        try await store.prepare()
        #expect(length(whole) == after)
        let changes = whole.operations.filter { $0.kind.isChange && $0.number > first }
        #expect(!changes.isEmpty)
        for change in changes {
            let crashed = SimulatedStorageMedium()
            let store = try await used(crashed)
            crashed.crash(afterOperation: change.number)
            _ = try? await store.prepare()
            let medium = crashed.reopened(seed: 1)
            let reopened = FileDeadLetterStore("/letters", on: medium)
            #expect(try await reopened.list().problems == [])
            for name in try medium.list("/letters") where name.hasSuffix(".letter") {
                try medium.remove("/letters/" + name)
            }
            #expect(try await reopened.list().problems.count == 1, "after \(change)")
        }
    }

    @Test func onlyOneReplays() async throws {
        let store = FileDeadLetterStore("/letters", on: SimulatedStorageMedium())
        let lock = try await store.lockForReplay()
        await #expect(throws: DeadLetterError.self) { try await store.lockForReplay() }
        lock.release()
        try await store.lockForReplay().release()
    }

    // MARK: Crashes and failures

    /// Writes two letters and settles the first; how many of the three steps returned.
    private func run(on medium: SimulatedStorageMedium) async -> Int {
        let store = FileDeadLetterStore("/letters", on: medium)
        var steps = 0
        do {
            try await store.write(try Self.letter())
            steps = 1
            try await store.write(try Self.inputLetter())
            steps = 2
            try await store.settle(Self.id)
            steps = 3
        } catch {}
        return steps
    }

    private func check(_ steps: Int, _ medium: SimulatedStorageMedium, _ label: String) async throws
    {
        let store = FileDeadLetterStore("/letters", on: medium)
        let second = try Self.inputLetter()
        let listing = try await store.list()
        #expect(listing.problems.isEmpty, "\(label)")
        for entry in listing.entries {
            let letter = try await store.read(entry.id)
            #expect([try Self.letter(), second].contains(letter), "\(label)")
        }
        let waiting = Set(listing.entries.map(\.id))
        if steps >= 1 { #expect(try await store.isKnown(Self.id), "\(label)") }
        if steps == 1 { #expect(waiting.contains(Self.id), "\(label)") }
        if steps >= 2 { #expect(waiting.contains(second.entry.id), "\(label)") }
        if steps == 3 { #expect(!waiting.contains(Self.id), "\(label)") }
    }

    @Test func aCrashAnywhereKeepsWhatWasAcknowledged() async throws {
        let whole = SimulatedStorageMedium(sectorByteCount: 16)
        #expect(await run(on: whole) == 3)
        let changes = whole.operations.filter(\.kind.isChange).map(\.number)
        #expect(changes.count > 20)
        for crash in [0] + changes {
            for seed in 0..<8 as Range<UInt64> {
                let medium = SimulatedStorageMedium(sectorByteCount: 16)
                medium.crash(afterOperation: crash)
                let steps = await run(on: medium)
                try await check(steps, medium.reopened(seed: seed), "\(crash), seed \(seed)")
            }
        }
    }

    @Test func aFailureAnywhereIsThrownAndNothingHalfIsThere() async throws {
        let whole = SimulatedStorageMedium()
        _ = await run(on: whole)
        for operation in whole.operations.map(\.number) {
            let medium = SimulatedStorageMedium()
            medium.fail(operation: operation, with: .full)
            let steps = await run(on: medium)
            try await check(steps, medium.restarted(), "\(operation)")
        }
    }

    @Test func everyChangedByteIsFoundOut() async throws {
        let medium = SimulatedStorageMedium()
        let store = FileDeadLetterStore("/letters", on: medium)
        try await store.write(try Self.letter())
        let name = try #require(try medium.list("/letters").first { $0.hasSuffix(".letter") })
        let path = "/letters/" + name
        let bytes = try #require(medium.contents(of: path))
        for index in bytes.indices {
            var damaged = bytes
            damaged[index] ^= 0x10
            medium.setContents(of: path, to: damaged)
            await #expect(throws: DeadLetterError.self, "byte \(index)") {
                try await store.read(Self.id)
            }
        }
        for count in bytes.indices {
            medium.setContents(of: path, to: Array(bytes.prefix(count)))
            await #expect(throws: DeadLetterError.self, "\(count) bytes") {
                try await store.read(Self.id)
            }
        }
        medium.setContents(of: path, to: Array(bytes.prefix(40)))
        #expect(try await store.list().problems.count == 1)
    }
}
