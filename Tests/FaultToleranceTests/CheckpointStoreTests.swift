import BatchEngine
import DStreamCore
import DStreamTestKit
import FaultTolerance
import Synchronization
import Testing

/// What a checkpoint store in files keeps, and what it makes of damage.
@Suite(.timeLimit(.minutes(5))) struct CheckpointStoreTests {
    private typealias History = CheckpointHistory

    @Test func anEmptyDirectoryHoldsNothing() async throws {
        let store = try await History.open(SimulatedStorageMedium())
        #expect(try await store.recover() == nil)
    }

    @Test func recordAndStateComeBack() async throws {
        let medium = SimulatedStorageMedium()
        for number in 1...5 {
            let store = try await History.open(medium)
            _ = try await store.recover()
            try await store.write(History.record(number), state: History.pieces(number))
            await store.close()
            let again = try await History.open(medium)
            let found = try await again.recover()
            #expect(found?.problems == [])
            #expect(
                try await History.recover(again)
                    == History.recovered(
                        History.record(number), piecesOf: Array(1...number)))
            await again.close()
        }
    }

    @Test func filesInADirectoryKeepThemToo() async throws {
        try await TemporaryDirectory.with { directory in
            let store = try await FileCheckpointStore.open(directory + "/a/b")
            try await store.write(History.record(1), state: History.pieces(1))
            await store.close()
            let again = try await FileCheckpointStore.open(directory + "/a/b")
            #expect(
                try await History.recover(again)
                    == History.recovered(History.record(1), piecesOf: [1]))
            await again.close()
        }
    }

    @Test func stateOlderThanNeededStaysAway() async throws {
        let medium = try await History.medium(writing: 1...3)
        let store = try await History.open(medium)
        _ = try await store.recover()
        let record = History.record(4, oldestState: 3)
        try await store.write(record, state: History.pieces(4))
        #expect(
            try await History.recover(store) == History.recovered(record, piecesOf: [3, 4]))
    }

    @Test func whatCannotBeRemovedIsToldAndRemovedLater() async throws {
        let medium = SimulatedStorageMedium()
        let told = Locked<[String]>([])
        let store = try await FileCheckpointStore.open(
            History.directory, on: medium, retainedCount: 1
        ) { time, error in told.withLock { $0.append("\(time.milliseconds) \(error)") } }
        medium.fail { $0.kind == .remove && !$0.path.hasSuffix(".tmp") ? .denied : nil }
        for number in 1...3 {
            try await store.write(History.record(number), state: History.pieces(number))
        }
        let times = [2, 3].map { History.record($0).time.milliseconds }
        let batches = told.withLock { $0.compactMap { $0.split(separator: " ").first } }
        #expect(batches == times.map { "\($0)" })
        #expect(told.withLock { $0 }.allSatisfy { $0.contains("checkpoint-000000000001") })
        medium.fail(where: nil)
        try await store.write(History.record(4), state: History.pieces(4))
        let names = try medium.list(History.directory).filter { $0.hasPrefix("checkpoint-") }
        #expect(names == ["checkpoint-000000000004"])
        #expect(told.withLock { $0.count } == 2)
        await store.close()
    }

    // MARK: Files that a program at work removes

    @Test func aFileThatVanishedIsPassedOver() async throws {
        let medium = try await History.medium(writing: 1...3)
        medium.fail { $0.kind == .open && $0.path == History.path(1) ? .notFound : nil }
        let found = try await FileCheckpointStore.read(History.directory, on: medium)
        #expect(found?.record == History.record(3))
        #expect(found?.problems == [])
    }

    @Test func whenAllFilesVanishedTheyAreListedAgain() async throws {
        let medium = try await History.medium(writing: 1...3)
        let left = Locked(3)
        medium.fail { operation in
            guard operation.kind == .open, operation.path.contains("checkpoint-") else {
                return nil
            }
            return left.withLock { left in
                left -= 1
                return left >= 0 ? .notFound : nil
            }
        }
        let found = try await FileCheckpointStore.read(History.directory, on: medium)
        #expect(found?.record == History.record(3))
    }

    // MARK: Damage

    @Test(arguments: [StorageError.Code.unreadable, .tooLarge])
    func aNewestFileThatCannotBeReadIsPassedOver(_ code: StorageError.Code) async throws {
        let medium = try await History.medium(writing: 1...3)
        medium.fail { $0.kind == .read && $0.path == History.path(3) ? code : nil }
        let found = try await FileCheckpointStore.read(History.directory, on: medium)
        #expect(found?.record == History.record(2))
        #expect(found?.problems.count == 1)
    }

    /// The next try may read it, and the one before does not have its batches' input any more.
    @Test func aPassingFailureIsNotTakenForDamage() async throws {
        let medium = try await History.medium(writing: 1...3)
        medium.fail { $0.kind == .read && $0.path == History.path(3) ? .failed : nil }
        let error = await #expect(throws: StorageError.self) {
            try await FileCheckpointStore.read(History.directory, on: medium)
        }
        #expect(error?.code == .failed)
    }

    /// The newest file damaged in every way: the one before counts, and the void write stays away.
    @Test func aDamagedNewestFileIsPassedOver() async throws {
        let whole = try await History.medium(writing: 1...3)
        let bytes = try #require(whole.contents(of: History.path(3)))
        var variants = (0..<bytes.count).map { Array(bytes.prefix($0)) }
        for bit in 0..<(bytes.count * 8) {
            var flipped = bytes
            flipped[bit / 8] ^= 1 << UInt8(bit % 8)
            variants.append(flipped)
        }
        variants.append(bytes + [0])
        variants.append(try #require(whole.contents(of: History.path(2))))
        for (index, variant) in variants.enumerated() {
            // Every damage is read; a few are gone on from.
            if index > bytes.count, index % 64 != 0, index < variants.count - 2 {
                let error = #expect(throws: CheckpointError.self) {
                    try CheckpointFormat.contents(of: variant, path: "x")
                }
                #expect(error?.code == .damaged, "variant \(index)")
            } else if index % 16 == 0 || index >= variants.count - 2 {
                try await goOn(from: variant, "variant \(index)")
            }
        }
    }

    private func goOn(from variant: [UInt8], _ name: Comment) async throws {
        let medium = try await History.medium(writing: 1...3)
        medium.setContents(of: History.path(3), to: variant)
        let store = try await History.open(medium)
        let found = try await store.recover()
        #expect(found?.record == History.record(2), name)
        #expect(found.map { History.sorted($0.state) } == [1, 2].flatMap(History.pieces), name)
        #expect(found?.problems.count == 1, name)
        #expect(found?.problems.first?.hasPrefix(History.path(3)) == true, name)
        for number in 4...5 {
            try await store.write(History.record(number), state: History.pieces(number))
        }
        await store.close()
        let again = try await History.open(medium)
        #expect(
            try await History.recover(again)
                == History.recovered(History.record(5), piecesOf: [1, 2, 4, 5]), name)
        await again.close()
    }

    @Test func voidWritesStayAwayThroughSeveralFallbacks() async throws {
        let medium = try await History.medium(writing: 1...3)
        medium.setContents(of: History.path(3), to: [])
        var store = try await History.open(medium)
        _ = try await store.recover()
        try await store.write(History.record(4), state: History.pieces(4))
        await store.close()
        medium.setContents(of: History.path(4), to: [])
        store = try await History.open(medium)
        #expect(
            try await History.recover(store)
                == History.recovered(History.record(2), piecesOf: [1, 2]))
        try await store.write(History.record(5), state: History.pieces(5))
        await store.close()
        store = try await History.open(medium)
        #expect(
            try await History.recover(store)
                == History.recovered(History.record(5), piecesOf: [1, 2, 5]))
    }

    @Test func nothingReadableNamesTheDirectory() async throws {
        let medium = try await History.medium(writing: 1...3)
        for number in 1...3 { medium.setContents(of: History.path(number), to: [1, 2]) }
        let error = await #expect(throws: CheckpointError.self) { try await History.open(medium) }
        #expect(error?.code == .damaged)
        #expect(error?.message.contains(History.directory + " ") == true)
        #expect(error?.message.contains(History.path(3)) == true)
    }

    @Test func aNewerVersionIsRefusedAndLeft() async throws {
        let medium = try await History.medium(writing: 1...3)
        var bytes = try #require(medium.contents(of: History.path(3)))
        bytes[4] = 4
        let checksum = Checksum.crc32c(Array(bytes[..<12]) + Array(bytes[16...]))
        for index in 0..<4 { bytes[12 + index] = UInt8(checksum >> (8 * index) & 255) }
        medium.setContents(of: History.path(3), to: bytes)
        let error = await #expect(throws: CheckpointError.self) { try await History.open(medium) }
        #expect(error?.code == .unsupported)
        #expect(error?.message.contains(History.path(3)) == true)
        #expect(medium.contents(of: History.path(3)) == bytes)
    }

    @Test func aSecondOpenerIsRefused() async throws {
        let medium = SimulatedStorageMedium()
        let store = try await History.open(medium)
        let error = await #expect(throws: CheckpointError.self) { try await History.open(medium) }
        #expect(error?.code == .locked)
        #expect(error?.message.contains(History.directory) == true)
        await store.close()
        await (try await History.open(medium)).close()
    }

    // MARK: What is kept

    @Test(arguments: [1, 3])
    func onlyTheLastFilesStay(_ retainedCount: Int) async throws {
        let medium = SimulatedStorageMedium()
        var store = try await History.open(medium, retainedCount: retainedCount)
        for number in 1...12 {
            if number == 7 {
                await store.close()
                store = try await History.open(medium, retainedCount: retainedCount)
                _ = try await store.recover()
            }
            // A minute per write: each has a segment of the log.
            var record = History.record(number * 100, oldestState: number * 100 - 150)
            record.parallelism = number
            var piece = History.pieces(number)[0]
            piece.time = .seconds(Int64(number * 100))
            try await store.write(record, state: [piece])
            let files = try medium.list(History.directory).filter { $0.hasPrefix("checkpoint-") }
            #expect(files.count == min(number, retainedCount))
        }
        let segments = try medium.list(History.directory + "/state").filter { $0.hasPrefix("log-") }
        #expect(segments.count <= retainedCount + 2, "\(segments)")
        let found = try await store.recover()
        #expect(found?.record.parallelism == 12)
        #expect(found?.state.map(\.time) == [.seconds(1100), .seconds(1200)])
    }

    @Test func damagedFilesGoWithTime() async throws {
        let medium = try await History.medium(writing: 1...3)
        medium.setContents(of: History.path(3), to: [])
        let store = try await History.open(medium, retainedCount: 2)
        _ = try await store.recover()
        for number in 4...5 {
            try await store.write(History.record(number), state: History.pieces(number))
        }
        let files = try medium.list(History.directory).filter { $0.hasPrefix("checkpoint-") }
        #expect(files == ["checkpoint-000000000004", "checkpoint-000000000005"])
        #expect(try await store.recover()?.problems == [])
    }

    /// What is called almost as the store calls its files is told, and is not gone on from.
    @Test func strangersAreToldAndLeftAlone() async throws {
        let medium = try await History.medium(writing: 1...2)
        let copy = try #require(medium.contents(of: History.path(1)))
        let strangers = ["7", "9223372036854775807", "18446744073709551615"]
        for name in strangers {
            medium.setContents(of: History.directory + "/checkpoint-" + name, to: copy)
        }
        medium.setContents(of: History.directory + "/checkpoint-+00000000007", to: copy)
        for run in 0..<2 {
            let store = try await History.open(medium, retainedCount: 3)
            let found = try await store.recover()
            #expect(found?.record == History.record(2 + run * 6))
            #expect(found?.problems.count == 3)
            for number in (3 + run * 6)...(8 + run * 6) {
                try await store.write(History.record(number), state: History.pieces(number))
            }
            await store.close()
        }
        let files = try medium.list(History.directory).filter { $0.hasPrefix("checkpoint-0") }
        #expect(
            files == [
                "checkpoint-000000000012", "checkpoint-000000000013", "checkpoint-000000000014",
            ])
        for name in strangers + ["+00000000007"] {
            let path = History.directory + "/checkpoint-" + name
            #expect(medium.contents(of: path) == copy)
        }
    }

    @Test func aDirectoryOfStrangersOnlyIsRefused() async throws {
        let medium = SimulatedStorageMedium()
        medium.setDirectory(History.directory)
        medium.setContents(of: History.directory + "/checkpoint-1000", to: [1])
        let error = await #expect(throws: CheckpointError.self) { try await History.open(medium) }
        #expect(error?.code == .damaged)
    }

    @Test func unfinishedFilesGoAndOthersStay() async throws {
        let medium = try await History.medium(writing: 1...2)
        medium.setContents(of: History.path(3) + ".tmp", to: [1])
        medium.setContents(of: History.directory + "/notes.tmp", to: [2])
        let store = try await History.open(medium)
        let files = try medium.list(History.directory)
        #expect(!files.contains { $0.hasPrefix("checkpoint-") && $0.hasSuffix(".tmp") })
        #expect(files.contains("notes.tmp"))
        #expect(
            try await History.recover(store)
                == History.recovered(History.record(2), piecesOf: [1, 2]))
    }

    /// The ranges of void writes in the newest file.
    private func voidRanges(_ medium: SimulatedStorageMedium) throws -> [ClosedRange<UInt64>] {
        let names = try medium.list(History.directory).filter { $0.hasPrefix("checkpoint-") }
        let path = History.directory + "/" + (try #require(names.last))
        let bytes = try #require(medium.contents(of: path))
        return try CheckpointFormat.contents(of: bytes, path: path).void
    }

    @Test func voidRangesGoWithThePiecesThatTheyTellApart() async throws {
        let medium = SimulatedStorageMedium()
        var store = try await History.open(medium, retainedCount: 2)
        // Every other write fails, in a minute of its own: each is a range.
        for number in 1...30 {
            let fails = number % 2 == 0
            medium.fail { fails && $0.kind == .rename ? .full : nil }
            var piece = History.pieces(number)[0]
            piece.time = .seconds(Int64(number * 100))
            let record = History.record(number * 100, oldestState: number * 100 - 250)
            _ = try? await store.write(record, state: [piece])
        }
        #expect(try voidRanges(medium).count <= 4)
        await store.close()
        store = try await History.open(medium.restarted(), retainedCount: 2)
        let found = try await store.recover()
        #expect(found?.state.map(\.time) == [.seconds(2700), .seconds(2900)])
    }

    @Test func voidRangesWithoutPiecesAreForgottenAtARestart() async throws {
        let medium = try await History.medium(writing: 1...3)
        medium.setContents(of: History.path(3), to: [])
        var store = try await History.open(medium)
        _ = try await store.recover()
        try await store.write(History.record(4), state: [])
        #expect(try voidRanges(medium) == [3...3])
        await store.close()
        let log = try await FileWriteAheadLog.open(History.directory + "/state", on: medium)
        try await log.clean(before: .seconds(1_000_000))
        await log.close()
        store = try await History.open(medium)
        _ = try await store.recover()
        try await store.write(History.record(5), state: [])
        #expect(try voidRanges(medium) == [])
    }
}
