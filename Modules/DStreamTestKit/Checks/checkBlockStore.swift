public import BatchEngine

/// Checks that a block store keeps the promises of `BlockStore`.
///
/// - Parameter make: makes an empty store; called several times.
/// - Throws: ``CheckFailure`` saying which promise is broken, or what the store threw.
public func checkBlockStore(_ make: () -> any BlockStore) throws {
    try checkContents(make())
    try checkLevels(make)
    try checkForms(make)
    try checkCodecs(make)
    try checkReplacement(make())
    try checkRemoval(make())
    try checkThreads(make())
}

private typealias Item = (String, (Int, [Int]))

private let items: [Item] = [
    ("", (0, [])), ("a text longer than fifteen bytes", (-1, [1, 2, 3])), ("é", (.max, [.min])),
]

private let levels: [StorageLevel] = [
    .memoryOnly, .memoryOnlySerialized, .memoryAndDisk, .memoryAndDiskSerialized, .diskOnly,
    .memoryAndDiskSerialized2,
]

private func codec<Element: Sendable>(of type: Element.Type) throws -> ErasedCodec {
    guard let codec = Codec<Element>.resolve() else {
        throw CheckFailure("no codec for \(type)")
    }
    return ErasedCodec(codec)
}

/// The elements in pieces of any form, in order.
private func elements<Element: Sendable>(_ pieces: [PartitionData]) throws -> [Element] {
    try Pipe<Element>.source(OperatorSite("check", file: #fileID, line: #line))
        .gathered(TaskContext(partition: 0), pieces)
}

private func checkContents(_ store: any BlockStore) throws {
    let id = BlockID.input(stream: 0, 1)
    try require(try store.get(id) == nil, "get returns nil for an id that was never stored")
    try require(store.elementCount(of: id) == nil, "an unknown id has no element count")
    try require(store.usage == BlockStoreUsage(), "a new store is empty: \(store.usage)")
    try store.put(
        id, [.values(Values([1, 2])), .values(Values([3]))], level: .memoryOnly, codec: nil)
    let read: [Int] = try elements(try store.get(id) ?? [])
    try require(read == [1, 2, 3], "several pieces keep their order: \(read)")
    try store.put(
        .input(stream: 0, 2), [.lines(LineBlock(["x", "", "z"]))], level: .memoryOnly, codec: nil)
    let lines: [String] = try elements(try store.get(.input(stream: 0, 2)) ?? [])
    try require(lines == ["x", "", "z"], "lines of text are kept: \(lines)")
    try store.put(.input(stream: 0, 3), [], level: .memoryOnly, codec: nil)
    try require(
        try store.get(.input(stream: 0, 3)) != nil,
        "a block without contents is stored all the same")
    try require(store.usage.blockCount == 3, "three blocks are counted: \(store.usage)")
}

private func checkLevels(_ make: () -> any BlockStore) throws {
    for level in levels {
        let store = make()
        let id = BlockID.dataset(.next(), partition: 7)
        let codec = try codec(of: Item.self)
        let pieces = [items.prefix(1), [], items.dropFirst()].map { Values(Array($0)) }
        try store.put(id, pieces.map { .values($0) }, level: level, codec: codec)
        for _ in 0..<2 {
            let read: [Item] = try elements(try store.get(id) ?? [])
            try require(
                read.elementsEqual(items) { $0.0 == $1.0 && $0.1 == $1.1 },
                "level \(level) gives back what was stored, as often as asked: \(read)")
        }
        let count = store.elementCount(of: id)
        try require(
            count == nil || count == items.count, "level \(level) counts elements: \(count ?? -1)")
        let usage = store.usage
        try require(
            level.useMemory || (usage.memoryBytes == 0 && usage.diskBytes > 0),
            "level \(level) holds nothing in memory: \(usage)")
        try require(
            level.useDisk || usage.diskBytes == 0, "level \(level) leaves the disk alone: \(usage)")
        store.remove(id)
        try require(
            store.usage == BlockStoreUsage(), "level \(level) leaves nothing: \(store.usage)")
    }
}

/// An element that can be told from its equals.
private final class Mark: StreamCodable {
    let number: Int

    init(_ number: Int) { self.number = number }

    func encode(to writer: inout ByteWriter) { number.encode(to: &writer) }

    static func decode(from reader: inout ByteReader) throws -> Mark {
        Mark(try .decode(from: &reader))
    }
}

/// What is to be kept as bytes is made of bytes when it comes back.
private func checkForms(_ make: () -> any BlockStore) throws {
    for level in levels where !level.deserialized {
        let store = make()
        let id = BlockID.dataset(.next(), partition: 0)
        let mark = Mark(5)
        try store.put(id, [.values(Values([mark]))], level: level, codec: try codec(of: Mark.self))
        let read: [Mark] = try elements(try store.get(id) ?? [])
        try require(read.map(\.number) == [5], "level \(level) gives back what was stored")
        try require(read[0] !== mark, "level \(level) keeps bytes, not the objects themselves")
        store.remove(id)
    }
}

private func checkCodecs(_ make: () -> any BlockStore) throws {
    struct NoCodec: Sendable {}
    for level in levels where level.needsCodec {
        let store = make()
        let id = BlockID.dataset(.next(), partition: 0)
        do {
            try store.put(id, [.values(Values([NoCodec()]))], level: level, codec: nil)
        } catch let error as BlockStoreError where error.code == .codecMissing {
            try require(try store.get(id) == nil, "level \(level): nothing is stored then")
            continue
        }
        throw CheckFailure("level \(level) without a codec throws .codecMissing")
    }
    let store = make()
    let bytes = try codec(of: Int.self).encode([.values(Values([5, 6]))])
    let id = BlockID.dataset(.next(), partition: 0)
    try store.put(id, [.encoded(bytes)], level: .diskOnly, codec: nil)
    let read: [Int] = try elements(try store.get(id) ?? [])
    try require(read == [5, 6], "what is bytes already needs no codec: \(read)")
}

private func checkReplacement(_ store: any BlockStore) throws {
    let codec = try codec(of: Int.self)
    let id = BlockID.input(stream: 1, 1)
    for (number, level) in (levels + levels.reversed()).enumerated() {
        try store.put(id, [.values(Values([number]))], level: level, codec: codec)
        let read: [Int] = try elements(try store.get(id) ?? [])
        try require(read == [number], "put replaces what was there: \(read), not [\(number)]")
        try require(store.usage.blockCount == 1, "a replaced block counts once: \(store.usage)")
    }
    store.remove(id)
    try require(store.usage == BlockStoreUsage(), "nothing is left: \(store.usage)")
}

private func checkRemoval(_ store: any BlockStore) throws {
    let (one, two) = (BlockID.input(stream: 2, 1), BlockID.input(stream: 3, 1))
    store.remove(one)
    try store.put(one, [.values(Values([1]))], level: .memoryOnly, codec: nil)
    try store.put(two, [.values(Values([2]))], level: .memoryOnly, codec: nil)
    store.remove(one)
    store.remove(one)
    try require(try store.get(one) == nil, "a removed block is gone")
    try require(try store.get(two) != nil, "other blocks stay")
    try require(store.usage.blockCount == 1, "one block is counted: \(store.usage)")
}

/// Different ids from several tasks at once.
private func checkThreads(_ store: any BlockStore) throws {
    let codec = try codec(of: Int.self)
    let failures = withConcurrentThreads(4) { thread in
        for round in 0..<50 {
            let id = BlockID.input(stream: thread, Int64(round))
            let level = levels[(thread + round) % levels.count]
            try store.put(id, [.values(Values([thread, round]))], level: level, codec: codec)
            let read: [Int] = try elements(try store.get(id) ?? [])
            try require(read == [thread, round], "threads do not mix up blocks: \(read)")
            store.remove(id)
        }
    }
    if let failure = failures.first { throw failure }
    try require(store.usage == BlockStoreUsage(), "threads leave nothing: \(store.usage)")
}

/// Runs `body` on threads of their own and waits for them; returns what they threw.
private func withConcurrentThreads(
    _ count: Int, _ body: @escaping @Sendable (Int) throws -> Void
) -> [any Error] {
    struct Progress {
        var ended = 0
        var failures: [any Error] = []
    }
    let progress = Monitor(Progress())
    for thread in 0..<count {
        let work: @Sendable () -> Void = {
            let result = Result { try body(thread) }
            progress.withLock { progress in
                progress.ended += 1
                if case .failure(let error) = result { progress.failures.append(error) }
            }
            progress.signal()
        }
        // Without threads to be had, one after the other is the best there is.
        do { try SystemThread.start(name: "check", body: work) } catch { work() }
    }
    return progress.wait { $0.ended == count ? $0.failures : nil }
}
