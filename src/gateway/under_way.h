// What is under way and has no record yet: when the process has to end at once, each says what became of it.
#pragma once

#include <functional>
#include <list>
#include <utility>

namespace bulkhead {

class UnderWay {
 public:
  // From here to its end `record` is called if everything ends; it must outlive neither what it refers to nor the list.
  class Entry {
   public:
    Entry(UnderWay& list, std::function<void()> record)
        : list_(list), at_(list.records_.insert(list.records_.end(), std::move(record))) {}
    ~Entry() { list_.records_.erase(at_); }
    Entry(const Entry&) = delete;
    Entry& operator=(const Entry&) = delete;

   private:
    UnderWay& list_;
    std::list<std::function<void()>>::iterator at_;
  };

  void record_all() const {
    for (const auto& record : records_) record();
  }

 private:
  std::list<std::function<void()>> records_;
};

}  // namespace bulkhead
