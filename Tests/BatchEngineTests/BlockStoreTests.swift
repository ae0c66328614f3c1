import Testing

import BatchEngine

@Suite("The block store: memory with spill", .timeLimit(.minutes(5)))
struct BlockStoreTests {
    private static let codec = Codec<Int>.resolve().map { ErasedCodec($0) }

    private func block(_ number: Int) -> BlockID { .input(stream: 0, Int64(number)) }

    private func values(_ count: Int, of value: Int = 1) -> [PartitionData] {
        [.values(Values([Int](repeating: value, count: count)))]
    }

    private func read(_ store: MemoryBlockStore, _ number: Int) throws -> [Int] {
        let contents = try #require(try store.get(block(number)))
        return try Pipe<Int>.source(OperatorSite("test", file: "", line: 0))
            .gathered(TaskContext(partition: 0), contents)
    }

    @Test("over the limit the oldest blocks go to disk and read back")
    func spills() throws {
        let store = MemoryBlockStore(memoryLimit: 2000)
        for number in 0..<5 {
            try store.put(
                block(number), values(100, of: number), level: .memoryAndDisk, codec: Self.codec)
        }
        #expect(store.usage.blockCount == 5)
        #expect(store.usage.memoryBytes == 1600)
        #expect(store.usage.diskBytes == 300)
        for number in 0..<5 {
            #expect(try read(store, number) == [Int](repeating: number, count: 100))
            #expect(store.elementCount(of: block(number)) == 100)
        }
        for number in 0..<5 { store.remove(block(number)) }
        #expect(store.usage == BlockStoreUsage())
    }

    @Test("what may not be spilled stays and counts, others make room for it")
    func unspillable() throws {
        let store = MemoryBlockStore(memoryLimit: 1000)
        try store.put(block(0), values(100), level: .memoryOnly, codec: nil)
        try store.put(block(1), values(100), level: .memoryAndDisk, codec: Self.codec)
        try store.put(block(2), values(100), level: .memoryOnly, codec: nil)
        #expect(store.usage.memoryBytes == 1600)
        #expect(store.usage.diskBytes == 100)
        #expect(try read(store, 1).count == 100)
    }

    @Test("a spillable level without codec is refused at once, not at somebody else's expense")
    func missingCodec() throws {
        let store = MemoryBlockStore(memoryLimit: 1000)
        let error = #expect(throws: BlockStoreError.self) {
            try store.put(block(0), values(1), level: .memoryAndDisk, codec: nil)
        }
        #expect(error?.code == .codecMissing)
        #expect(store.usage == BlockStoreUsage())
        try store.put(block(1), values(500), level: .memoryAndDisk, codec: Self.codec)
    }

    @Test("spill files go with their blocks and the directory with the store")
    func files() throws {
        var store: MemoryBlockStore? = MemoryBlockStore(memoryLimit: 0)
        try store?.put(block(0), values(3), level: .memoryAndDiskSerialized, codec: Self.codec)
        try store?.put(block(1), values(3), level: .diskOnly, codec: Self.codec)
        let directory = try #require(store?.spillDirectoryIfMade)
        // One of them is the directory's lock.
        #expect(try FileSystem.list(directory).count == 3)
        store?.remove(block(0))
        #expect(try FileSystem.list(directory).count == 2)
        store = nil
        #expect(!FileSystem.exists(directory))
    }

    @Test("a spill file that cannot be read is an error, not an absent block")
    func lostFile() throws {
        let store = MemoryBlockStore()
        try store.put(block(0), values(3), level: .diskOnly, codec: Self.codec)
        let directory = try #require(store.spillDirectoryIfMade)
        try FileSystem.removeTree(directory)
        let error = #expect(throws: BlockStoreError.self) { try store.get(block(0)) }
        #expect(error?.code == .disk)
        // A file is where the directory was.
        try FileSystem.append(directory, [], durability: .handedOver)
        defer { _ = try? FileSystem.remove(directory) }
        let full = #expect(throws: BlockStoreError.self) {
            try store.put(block(1), values(3), level: .diskOnly, codec: Self.codec)
        }
        #expect(full?.code == .disk)
        #expect(store.usage.blockCount == 1)
    }

    @Test("a spill directory that was tidied away is made anew", arguments: [false, true])
    func tidied(isRead: Bool) throws {
        let store = MemoryBlockStore(memoryLimit: 0)
        let level: StorageLevel = isRead ? .diskOnly : .memoryAndDiskSerialized
        try store.put(block(0), values(3), level: level, codec: Self.codec)
        let directory = try #require(store.spillDirectoryIfMade)
        store.remove(block(0))
        try FileSystem.removeTree(directory)
        try store.put(block(1), values(3), level: level, codec: Self.codec)
        #expect(try store.get(block(1)) != nil)
        let anew = try #require(store.spillDirectoryIfMade)
        #expect(anew != directory && FileSystem.exists(anew))
    }

    @Test("many threads over the limit lose no block")
    func concurrentSpills() async throws {
        let store = MemoryBlockStore(memoryLimit: 4000)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for thread in 0..<4 {
                group.addTask {
                    try await BlockingThreads.shared.run {
                        for number in 0..<100 {
                            try store.put(
                                block(thread * 100 + number), values(50, of: number),
                                level: number % 2 == 0 ? .memoryAndDisk : .memoryAndDiskSerialized,
                                codec: Self.codec)
                        }
                    }
                }
            }
            try await group.waitForAll()
        }
        #expect(store.usage.blockCount == 400)
        #expect(store.usage.memoryBytes <= 4000)
        for number in 0..<400 {
            #expect(try read(store, number) == [Int](repeating: number % 100, count: 50))
        }
        for number in 0..<400 { store.remove(block(number)) }
        #expect(store.usage == BlockStoreUsage())
    }
}
