import DStreamCore
import DStreamTestKit
import FaultTolerance
import Synchronization
import Testing

@Suite("Storage media and stores of dead letters are checked", .timeLimit(.minutes(5)))
struct WrongStorageTests {
    @Test(
        "wrong media are noticed",
        arguments: zip(
            WrongMedium.Fault.allCases,
            [
                "one that is there is not", "creating it again", "a renamed file has one name",
                "removing nothing says so", "a lock that is held is refused",
            ]))
    func medium(_ fault: WrongMedium.Fault, promise: String) async {
        let failure = await failure {
            try checkStorageMedium(WrongMedium(fault: fault), in: "/data")
        }
        #expect(failure.contains(promise))
    }

    @Test(
        "wrong stores of dead letters are noticed",
        arguments: zip(
            WrongLetters.Fault.allCases,
            [
                "by batch and operation", "does not replace the first", "still waits",
                "is not known any more", "two can replay at a time",
            ]))
    func letters(_ fault: WrongLetters.Fault, promise: String) async {
        let failure = await failure { try await checkDeadLetterStore { WrongLetters(fault) } }
        #expect(failure.contains(promise))
    }
}

struct WrongMedium: StorageMedium {
    enum Fault: CaseIterable {
        case makesDirectoriesTwice, opensWhatIsThere, copiesInstead, alwaysRemoves, locksNothing
    }
    private final class Lock: StorageLock {
        func release() {}
    }

    private let base = SimulatedStorageMedium()
    let fault: Fault

    init(fault: Fault) { self.fault = fault }

    func list(_ directory: String) throws -> [String] { try base.list(directory) }

    func createDirectory(_ path: String) throws -> Bool {
        try base.createDirectory(path) || fault == .makesDirectoriesTwice
    }

    func syncDirectory(_ path: String) throws { try base.syncDirectory(path) }

    func open(_ path: String, _ mode: StorageOpenMode) throws -> any StorageFile {
        let isThere = try base.byteCount(of: path) != nil
        return try base.open(
            path, fault == .opensWhatIsThere && isThere && mode == .createNew ? .append : mode)
    }

    func byteCount(of path: String) throws -> Int? { try base.byteCount(of: path) }

    func rename(_ path: String, to target: String) throws {
        guard fault == .copiesInstead, let bytes = base.contents(of: path) else {
            return try base.rename(path, to: target)
        }
        try base.rename(path, to: target)
        try base.open(path, .createNew).append(bytes)
    }

    func remove(_ path: String) throws -> Bool {
        try base.remove(path) || fault == .alwaysRemoves
    }

    func lock(_ path: String, owner: String) throws -> any StorageLock {
        fault == .locksNothing ? Lock() : try base.lock(path, owner: owner)
    }
}

final class WrongLetters: DeadLetterStore {
    enum Fault: CaseIterable {
        case listsBackwards, keepsTheFirst, settlesNothing, forgetsSettled, locksNothing
    }
    private final class Lock: DeadLetterLock {
        func release() {}
    }

    private let base = FileDeadLetterStore("/letters", on: SimulatedStorageMedium())
    private let settled = Mutex<Set<DeadLetter.ID>>([])
    private let fault: Fault

    init(_ fault: Fault) { self.fault = fault }

    func prepare() async throws { try await base.prepare() }

    func write(_ letter: DeadLetter) async throws {
        if fault == .keepsTheFirst, try await base.isKnown(letter.entry.id) { return }
        try await base.write(letter)
    }

    func list() async throws -> DeadLetterListing {
        let listing = try await base.list()
        return fault == .listsBackwards
            ? DeadLetterListing(entries: listing.entries.reversed()) : listing
    }

    func read(_ id: DeadLetter.ID) async throws -> DeadLetter { try await base.read(id) }

    func settle(_ id: DeadLetter.ID) async throws {
        if fault == .settlesNothing { return }
        settled.withLock { _ = $0.insert(id) }
        try await base.settle(id)
    }

    func isKnown(_ id: DeadLetter.ID) async throws -> Bool {
        if fault == .forgetsSettled, settled.withLock({ $0.contains(id) }) { return false }
        return try await base.isKnown(id)
    }

    func lockForReplay() async throws -> any DeadLetterLock {
        fault == .locksNothing ? Lock() : try await base.lockForReplay()
    }
}
