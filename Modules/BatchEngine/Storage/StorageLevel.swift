/// Where the partitions of a kept dataset or the blocks of a receiver live, by Spark's names.
public struct StorageLevel: Sendable, Hashable, CustomStringConvertible {
    /// Whether contents may be held in memory.
    public let useMemory: Bool
    /// Whether contents go to disk when memory is short (or at once, without `useMemory`).
    public let useDisk: Bool
    /// Whether contents are kept as objects rather than bytes.
    public let deserialized: Bool
    /// How many copies an engine with several processes keeps.
    public let replication: Int

    private init(memory: Bool, disk: Bool, objects: Bool, replication: Int = 1) {
        useMemory = memory
        useDisk = disk
        deserialized = objects
        self.replication = replication
    }

    /// Objects in memory; never evicted.
    public static let memoryOnly = StorageLevel(memory: true, disk: false, objects: true)
    /// Bytes in memory; needs a codec.
    public static let memoryOnlySerialized = StorageLevel(memory: true, disk: false, objects: false)
    /// Objects in memory, spilled to disk when the store's limit is passed; needs a codec.
    public static let memoryAndDisk = StorageLevel(memory: true, disk: true, objects: true)
    /// Bytes in memory, spilled to disk when the store's limit is passed; needs a codec.
    public static let memoryAndDiskSerialized = StorageLevel(
        memory: true, disk: true, objects: false)
    /// Bytes on disk; needs a codec.
    public static let diskOnly = StorageLevel(memory: false, disk: true, objects: false)
    /// ``memoryAndDiskSerialized`` with a second copy, on engines that have several processes.
    public static let memoryAndDiskSerialized2 = StorageLevel(
        memory: true, disk: true, objects: false, replication: 2)

    /// Whether elements must be turned into bytes at some point.
    public var needsCodec: Bool { useDisk || !deserialized }

    /// The level's parts, for example `memory+disk, serialized`.
    public var description: String {
        let places = [useMemory ? "memory" : nil, useDisk ? "disk" : nil].compactMap { $0 }
        let form = deserialized ? "objects" : "serialized"
        let copies = replication > 1 ? ", \(replication) copies" : ""
        return "\(places.joined(separator: "+")), \(form)\(copies)"
    }
}
